#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# What the NIC does for the stack: checksums, TSO, GRO, joined frames. Seen from the frames.
# shellcheck disable=SC2317,SC2119,SC2086 # functions called by name, options as words
. "$(dirname "$0")/lib.sh"

plan 45
topology
mac_a=$(mac_of "$ns_a" dm0) mac_b=$(mac_of "$ns_b" dm0p)

# --- features --------------------------------------------------------------

feature() {
	a ethtool -k dm0 | sed -n "s/^[[:space:]]*$1: //p"
}

for name in rx-checksumming tx-checksumming scatter-gather \
	tcp-segmentation-offload tx-tcp-segmentation tx-tcp6-segmentation \
	generic-receive-offload receive-hashing ntuple-filters; do
	want "$name at birth" on "$(feature $name | sed 's/ntuple//')"
done
all_ok "the features are there and on"

for key in rx tx sg tso gro rxhash ntuple; do
	case $key in
	rx | tx) name=$key-checksumming ;;
	sg) name=scatter-gather ;;
	tso) name=tcp-segmentation-offload ;;
	gro) name=generic-receive-offload ;;
	rxhash) name=receive-hashing ;;
	ntuple) name=ntuple-filters ;;
	esac
	want_ok a ethtool -K dm0 $key off
	want "$key off" off "$(feature $name)"
	want_ok a ethtool -K dm0 $key on
	want "$key on" on "$(feature $name)"
done
toggle a dm0 sg on tso on
all_ok "each is turned off and on"

# --- TSO of the stack's own traffic ----------------------------------------

toggle b dm0p gro off
serve b

# A machine that dozes must not make TCP send again what is not lost.
a sysctl -qw net.ipv4.tcp_early_retrans=0
ip -n "$ns_a" route change 10.9.0.0/24 dev dm0 proto kernel scope link src 10.9.0.1 rto_min 20s
ip -n "$ns_a" -6 route change fd09::/64 dev dm0 proto kernel metric 256 rto_min 20s

# One stream, as its frames look on arrival.
captured_stream() {
	sniffed_until "dport=7000 .*flags=[A-Z]*F" b dm0p \
		a traffic tcp "$1" -n 256k >"$tmp/stream" 2>&1
}

# What is wrong with those frames.
odd_frames() {
	fields len payload csum ipcsum seq id flags | awk -v ids="$1" -v mtu=1500 '
		$1 > mtu + 14	{ print "longer than the MTU: " $0 }
		$3 != "ok"	{ print "TCP checksum: " $0 }
		$4 == "bad"	{ print "IP checksum: " $0 }
		$2 == 0		{ next }
		last != "" && $5 != (last + len) % 4294967296 { print "gap after " last "+" len ": " $0 }
		ids && last != "" && $6 != (id + 1) % 65536 { print "id after " id ": " $0 }
		$7 ~ /F/ && fin++ { print "a second FIN: " $0 }
				{ last = $5; len = $2; id = $6; total += len }
		$1 == mtu + 14	{ full++ }
		END		{ if (total < 262144) print total + 0 " bytes in all"
				  if (full < 100) print full + 0 " full frames" }' | head -n 5
}

# A stream, and in $odd what is wrong with its frames. On a busy machine TCP may yet
# send a segment twice, or a capture have no room for it: what the device does is seen
# when neither happens.
clean_stream() {
	for _ in 1 2 3 4 5; do
		captured_stream "$1"
		odd=$(odd_frames $2)
		[ -n "$odd" ] || break
	done
}

before a dm0
clean_stream 10.9.0.2 ids
after
is "an IPv4 stream arrives intact" 1 "$(word good <"$tmp/stream")"
within "the device cut it into frames" 1 1000 "${moved[tx_tso_packets]}"
is "as a real NIC would have" "" "$odd"

before a dm0
clean_stream fd09::2
after
is "an IPv6 stream arrives intact" 1 "$(word good <"$tmp/stream")"
within "the device cut it into frames" 1 1000 "${moved[tx_tso_packets]}"
is "as a real NIC would have" "" "$odd"

toggle a dm0 tso off
before a dm0
passes "a stream passes without TSO" a traffic tcp 10.9.0.2
after
is "and without TSO's count" 0 "${moved[tx_tso_packets]}"
toggle a dm0 tx off sg off
passes "and without scatter-gather and checksums" a traffic tcp fd09::2
toggle a dm0 tx on sg on
toggle a dm0 tso on

# --- TSO, segment by segment -----------------------------------------------

# cut_into GSO LEN SEQ ID FLAGS FIRST LAST: what one big segment becomes; FLAGS in
# all, FIRST and LAST those of the first and the last frame
cut_into() {
	local left=$2 seq=$3 id=$4 flags=$6

	while [ "$left" -gt 0 ]; do
		local n=$(($1 < left ? $1 : left))

		left=$((left - n))
		[ $left = 0 ] && flags=$7
		echo "$seq $id $n $flags ok ok"
		seq=$(((seq + n) % 4294967296)) id=$(((id + 1) % 65536)) flags=$5
	done
}

# big WHAT KEY=VALUE...: sends one, compares
big() {
	local what=$1 frames expected

	shift
	expected=$(cut_into $gso $len $seq $id "$flags" "$first" "$last")
	frames=$(wc -l <<<"$expected")
	sniff="-t 60 -d in -p tcp -n $frames"
	sniffed b dm0p a inject dm0 gso=$gso len=$len seq=$seq id=$id "$@"
	want "$what" "$expected" "$(fields seq $ids payload flags csum content |
		sed "$([ "$ids" ] || echo "s/ / $id /")")"
}

six="src=2001:db8::1 dst=2001:db8::2"
gso=1000 len=9300 seq=4294963200 id=65533 ids=id
flags=AE first=AE last=FPAE
before a dm0
big "IPv4" flags=APFE
gso=100 len=250 flags=A first=A last=PA
big "short ones" flags=AP
gso=1396 len=60000 seq=77
big "64 KiB" flags=AP tcpopt=12
gso=536 len=5360
big "IP options" flags=AP ipopt=8 tcpopt=12
after tx_tso_packets 4
want "segments that the device cut" 4 "${moved[tx_tso_packets]}"
all_ok "an IPv4 segment is cut right: sequence, ids, flags, checksums, content"

# IPv6 has no id: the expected one stands for it
cut_id() {
	cut_into "$@" | awk -v id="$4" '{ $2 = id; print }'
}
big6() {
	local what=$1 expected

	shift
	expected=$(cut_id $gso $len $seq 0 "$flags" "$first" "$last")
	sniff="-t 60 -d in -p tcp -n $(wc -l <<<"$expected")"
	sniffed b dm0p a inject dm0 gso=$gso len=$len seq=$seq $six "$@"
	want "$what" "$expected" "$(fields seq payload flags csum content |
		awk '{ print $1, 0, $2, $3, $4, $5 }')"
}
gso=1000 len=9300 seq=4294963200 flags=AE first=AE last=FPAE
before a dm0
big6 "IPv6" flags=APFE
gso=1396 len=60000 seq=77 flags=A first=A last=PA
big6 "64 KiB" flags=AP tcpopt=12
after tx_tso_packets 2
want "segments that the device cut" 2 "${moved[tx_tso_packets]}"
all_ok "an IPv6 segment too"

gso=1000 len=3500 seq=1 id=9 flags=A first=AC last=PA
big "IPv4" flags=APC ecn=1
big6 "IPv6" flags=APC ecn=1
all_ok "only the first frame says CWR"

# --- checksums on the way out ----------------------------------------------

sizes="1 2 33 1400"
datagrams() {
	local size

	for size in $sizes; do
		a inject dm0 proto=udp csum=offload len=$size "$@"
	done
	a inject dm0 proto=udp csum=offload len=64 zero=1 "$@"
}

sniff="-t 60 -d in -p udp -n 5"
for state in on off; do
	toggle a dm0 tx $state
	for dst in "" "$six"; do
		sniffed b dm0p datagrams $dst
		want "checksums${dst:+ over IPv6}, tx $state" \
			"1 ok 2 ok 33 ok 1400 ok 64 ok" "$(fields payload csum | xargs)"
		want "a sum of zero${dst:+ over IPv6}, tx $state" "ffff" \
			"$(fields check | tail -n 1)"
	done
done
toggle a dm0 tx on
all_ok "UDP checksums are filled in, and zero is sent as ffff"

# --- checksums on the way in -----------------------------------------------

to_b="src=10.9.0.77 dst=10.9.0.2 smac=$mac_a dmac=$mac_b"

segments() {
	local port=0 frame

	for frame in "" "$to_b6" "ipopt=12 tcpopt=20" len=101 bad=l4 "$to_b6 bad=l4"; do
		a inject dm0 $to_b dport=9 flags=R sport=$((++port)) $frame
	done
}
to_b6="src=fd09::77 dst=fd09::2"
sniff="-t 60 -d in -n 6 -p tcp"
sniffed b dm0p segments
is "the device vouches for good checksums only" \
	"1 valid 2 valid 3 valid 4 valid 5 - 6 -" "$(fields sport hw | sort -n | xargs)"
toggle b dm0p rx off
sniffed b dm0p segments
is "and for none with rx off" "1 - 2 - 3 - 4 - 5 - 6 -" \
	"$(fields sport hw | sort -n | xargs)"
toggle b dm0p rx on

before b dm0p
a inject dm0 n=3 bad=l4 >/dev/null
a inject dm0 n=2 bad=l4 src=2001:db8::1 dst=2001:db8::2 >/dev/null
after rx_csum_bad 5
is "bad TCP checksums are counted" 5 "${moved[rx_csum_bad]}"
quiet_pair
before c q0p
c inject q0 n=3 >/dev/null
c inject q0 n=3 proto=udp csum=none >/dev/null
c inject q0 n=3 proto=arp >/dev/null
c inject q0 n=3 frag=0+ bad=l4 >/dev/null
c inject q0 n=3 frag=100 bad=l4 >/dev/null
c inject q0 n=3 pad=30 len=0 >/dev/null
c inject q0 n=3 pad=7 >/dev/null
after rx_packets 21
is "good, padded, absent and unverifiable ones are not" "21 0" \
	"${moved[rx_packets]} ${moved[rx_csum_bad]}"

two_errors() {
	[ $(($(snmp b "$1" InCsumErrors) - errors)) -ge 2 ]
}

# A connection made by hand, so that one segment of it can be wrong.
b ip neigh replace 10.9.0.77 lladdr "$mac_a" dev dm0p
segment() {
	a inject dm0 $to_b sport=4000 dport=7000 "$@"
}
sniff="-t 1 -d in -p tcp -n 1"
errors=$(snmp b Tcp InCsumErrors)
sniffed a dm0 segment flags=S seq=1000 len=0 bad=l4
is "a bad SYN is not answered" "" "$(fields flags)"
sniff="-t 60 -d in -p tcp -n 1"
sniffed a dm0 segment flags=S seq=1000 len=0
is "a good one is" "SA 1001" "$(fields flags ack)"
ack=$(($(fields seq) + 1))
sniff="-t 0.7 -d in -p tcp -n 1"
sniffed a dm0 segment flags=AP seq=1001 ack=$ack len=100 bad=l4
is "bad data is not delivered" "" "$(fields flags ack | grep -v ^SA)"
wait_for 60 two_errors Tcp
is "TCP counted what was bad" 2 "$(($(snmp b Tcp InCsumErrors) - errors))"
# the answer to the SYN may have been sent again before this
sniffed_until " ack=1101 " a dm0 segment flags=AP seq=1001 ack=$ack len=100 pad=20 >/dev/null
is "good data is, less its padding" "A 1101" "$(fields flags ack | tail -n 1)"
segment flags=RA seq=1101 ack=$ack len=0 >/dev/null

errors=$(snmp b Udp InCsumErrors)
a inject dm0 $to_b proto=udp dport=7000 bad=l4 n=2 >/dev/null
wait_for 60 two_errors Udp
is "bad UDP is dropped" 2 "$(($(snmp b Udp InCsumErrors) - errors))"
errors=$(snmp b IpExt InCsumErrors)
a inject dm0 $to_b proto=udp dport=7000 bad=ip n=2 >/dev/null
wait_for 60 two_errors IpExt
is "a bad IP header is dropped" 2 "$(($(snmp b IpExt InCsumErrors) - errors))"

toggle b dm0p rx off
errors=$(snmp b Tcp InCsumErrors)
segment flags=S seq=1000 len=0 bad=l4 sport=4001 >/dev/null
want_ok a traffic tcp 10.9.0.2
want_ok a traffic tcp fd09::2
want "bad segments found by TCP" 1 "$(($(snmp b Tcp InCsumErrors) - errors))"
toggle b dm0p rx on
all_ok "with rx off the stack checks for itself"

# --- GRO and NAPI ----------------------------------------------------------

longest() {
	fields len | sort -n | tail -n 1
}
captured_stream 10.9.0.2
is "without GRO no frame is above the MTU" 1514 "$(longest)"
toggle b dm0p gro on
captured_stream 10.9.0.2
within "with GRO there are" 1515 70000 "$(longest)"
captured_stream fd09::2
within "over IPv6 too" 1515 70000 "$(longest)"
is "and the streams are intact" 1 "$(word good <"$tmp/stream")"
is "an accepted socket knows its NAPI" 0 \
	"$(a traffic tcp 10.9.0.2 -c 4 -n 64k | word napi_zero)"

# --- frames that the NIC joins ---------------------------------------------

# joined WHAT PAYLOADS KEY=VALUE...: one big segment, cut by one end into frames, comes
# out of the other as frames with so many bytes, whole. Nobody else sends there, as frames
# are counted
joined() {
	local what=$1 want=$2

	shift 2
	# shellcheck disable=SC2086 # numbers, one word each
	sniff="-t 60 -d in -p tcp -n $(wc -w <<<"$want")"
	sniffed c q0p c inject q0 "$@"
	want "$what" "$want" "$(fields payload | xargs)"
	want "content of $what" "ok" "$(fields content | sort -u)"
	want "sums of $what" "" "$(fields csum ipcsum | grep bad)"
}

is "rx-gro-hw is off at birth" off "$(c ethtool -k q0p | sed -n 's/^rx-gro-hw: //p')"
toggle c q0p gro off
before c q0p
joined "frames" "1000 1000 500" gso=1000 len=2500 flags=A
after
all_ok "off, it joins nothing"
is "and says so" 0 "${moved[rx_gro_packets]}"
toggle c q0p rx-gro-hw on

for state in off on; do
	c ring_split q0p $state
	before c q0p
	joined "IPv4" 9300 gso=1000 len=9300 flags=AP seq=4294963200 id=65533
	want "its headers" "4294963200 65533 PA partial ok" \
		"$(fields seq id flags csum ipcsum)"
	joined "IPv6" 9300 gso=1000 len=9300 flags=A $six
	want "its flags" "A partial" "$(fields flags csum)"
	joined "two" 101 gso=100 len=101 flags=A
	joined "small ones" 90 gso=10 len=90 flags=A
	joined "64 KiB" 60000 gso=1396 len=60000 flags=A
	joined "64 KiB of IPv6" 60000 gso=1396 len=60000 flags=A tcpopt=12 $six
	after rx_gro_packets 6
	want "what came of it" 6 "${moved[rx_gro_packets]}"
	want "the frames" "$((10 + 10 + 2 + 9 + 43 + 43))" "${moved[rx_gro_wire_packets]}"
	want "packets" "${moved[rx_gro_wire_packets]}" "${moved[rx_packets]}"
	want "bytes of both" "$((2 * 9300 + 101 + 90 + 2 * 60000 + 4 * 54 + 74 + 86))" \
		"${moved[rx_gro_bytes]}"
	all_ok "frames of a stream become one, split $state"
done

joined "CWR" "1000 2500" gso=1000 len=3500 flags=APC ecn=1
joined "ECE" "1000 1000 1000 500" gso=1000 len=3500 flags=AE
joined "FIN" "3000 500" gso=1000 len=3500 flags=FA
joined "RST" "1000 1000 500" gso=1000 len=2500 flags=RA
joined "URG" "1000 1000 500" gso=1000 len=2500 flags=UA
joined "SYN" "1000 1000 500" gso=1000 len=2500 flags=SA
joined "no ACK" "1000 1000 500" gso=1000 len=2500 flags=P
joined "IP options" "1000 1000 500" gso=1000 len=2500 flags=A ipopt=8
all_ok "those that say more than payload do stay alone"
sniff="-t 60 -d in -p tcp -n 3"
sniffed c q0p c inject q0 n=3 len=700
want "sent one by one" "700 700 700" "$(fields payload | xargs)"
all_ok "and what has come waits for nothing"
toggle c q0p rx off
joined "frames" "1000 1000 500" gso=1000 len=2500 flags=A
toggle c q0p rx on rx-gro-hw on
joined "frames" 2500 gso=1000 len=2500 flags=A
all_ok "none is joined whose checksum was not verified"

toggle b dm0p gro off rx-gro-hw on
want_ok b ring_split dm0p on
before b dm0p
want_ok a traffic tcp 10.9.0.2 -c 4 -n 1M
want_ok a traffic tcp fd09::2 -c 4 -n 1M
after
all_ok "streams arrive intact"
within "joined" 2000 20000 "${moved[rx_gro_wire_packets]}"
toggle b dm0p gro on
want_ok a traffic tcp 10.9.0.2 -c 4 -n 1M
want_ok a traffic tcp fd09::2 -c 4 -n 1M
all_ok "with GRO behind it too"

a traffic tcp 10.9.0.2 -c 4 -t 4 -R 2M >"$tmp/stream" 2>&1 &
stream=$!
flips=0
while kill -0 $stream 2>/dev/null; do
	for state in off on; do
		toggle b dm0p rx-gro-hw $state
		want_ok b ring_split dm0p $state
	done
	flips=$((flips + 1))
done
wait $stream
want "streams intact" 4 "$(word good <"$tmp/stream")"
all_ok "it is switched $flips times under traffic"
finish
