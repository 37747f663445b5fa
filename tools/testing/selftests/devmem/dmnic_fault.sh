#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Allocations and starts of queues that fail: what was asked for is refused, and
# what was there before goes on.
# shellcheck disable=SC2317,SC2119,SC2086 # functions called by name, options as words
. "$(dirname "$0")/lib.sh"

plan 34
root=/sys/kernel/debug/dmnic
mountpoint -q /sys/kernel/debug || mount -t debugfs debugfs /sys/kernel/debug
topology
[ -d $root ] || skip_all "no debugfs folder of dmnic"
serve b

# permanent NS-VERB NETNS DEV: as ethtool tells, else the first address
permanent() {
	local mac

	mac=$("$1" ethtool -P "$3" | grep -Eo '(..:){5}..')
	echo "${mac:-$(mac_of "$2" "$3")}"
}
perm_a=$(permanent a $ns_a dm0) perm_b=$(permanent b $ns_b dm0p)
knobs=$root/$perm_b

setting() {
	b ethtool -g dm0p | sed -n '/^Current/,$p' | awk '$1 == "RX:" || $1 == "TX:"' | xargs
	b ethtool -l dm0p | sed -n '/^Current/,$p' | awk '$1 == "RX:" || $1 == "TX:"' | xargs
	b ring_split dm0p
}

traffic_passes() {
	want_ok a traffic tcp 10.9.0.2 -c 4 -n 256k
}

# --- the knobs -------------------------------------------------------------

is "each port has its folder" "2" "$(find $root/$perm_a $root/$perm_b -maxdepth 0 | wc -l)"
is "with a count of failures to come, at first none" "0 0" \
	"$(xargs <$knobs/fail_alloc) $(xargs <$knobs/fail_start)"
echo 3 >$knobs/fail_alloc
is "a count can be set" 3 "$(<$knobs/fail_alloc)"
is "of one port" 0 "$(<$root/$perm_a/fail_alloc)"
echo 0 >$knobs/fail_alloc
is "and unset" 0 "$(<$knobs/fail_alloc)"
refuses "words are refused" "invalid|error" sh -c "echo many >$knobs/fail_alloc"
ip -n "$ns_b" link set dm0p address 02:77:00:00:00:01
is "the folder keeps its name when the address changes" yes \
	"$([ -d $knobs ] && echo yes || echo no)"
ip -n "$ns_b" link set dm0p down
ip -n "$ns_b" link set dm0p name renamed
is "and when the port's name does" yes "$([ -d $knobs ] && echo yes || echo no)"
ip -n "$ns_b" link set renamed name dm0p

# --- opening ---------------------------------------------------------------

up() {
	ip -n "$ns_b" link set dm0p up
}
for knob in fail_alloc fail_start; do
	echo 1 >$knobs/$knob
	refuses "with $knob a port does not come up" "memory|error|answers" up
	is "and has no carrier, nor failures left" "0 0" \
		"$(ip -n "$ns_b" -o link show dm0p | grep -c LOWER_UP) $(<$knobs/$knob)"
	want_ok up
	wait_for 60 ready "$ns_a" dm0
	traffic_passes
	all_ok "then it comes up, and works"
	ip -n "$ns_b" link set dm0p down
done
for what in alloc start; do
	echo 2 >$knobs/spare_$what
	echo 1 >$knobs/fail_$what
	if up 2>/dev/null; then
		want "up, the third of $what" refused "success"
	fi
	want "spared and failing" "0 0" "$(xargs <$knobs/spare_$what) $(xargs <$knobs/fail_$what)"
	want_ok up
	wait_for 60 ready "$ns_a" dm0
	traffic_passes
	ip -n "$ns_b" link set dm0p down
done
all_ok "of a failure after two queues that were spared nothing stays"
up
wait_for 60 ready "$ns_a" dm0
addresses 2>/dev/null

# --- changing --------------------------------------------------------------

b ring_split dm0p off

# unchanged KNOB COUNT CMD...: CMD fails, nothing changes, traffic passes
unchanged() {
	local knob=$1 count=$2 was

	shift 2
	was=$(setting)
	echo $count >$knobs/$knob
	if "$@" >"$tmp/out" 2>&1; then
		want "$*, $knob $count" refused "success"
	fi
	echo 0 >$knobs/$knob
	want "settings after $*, $knob $count" "$was" "$(setting)"
	traffic_passes
}

for knob in fail_alloc fail_start; do
	unchanged $knob 1 b ethtool -G dm0p rx 128
	unchanged $knob 1 b ethtool -G dm0p rx 2048 tx 128
	all_ok "$knob: rings stay as they are"
	unchanged $knob 1 b ethtool -L dm0p rx 2
	unchanged $knob 1 b ethtool -L dm0p rx 1 tx 1
	all_ok "$knob: channels stay as they are"
	b ethtool -L dm0p rx 2 tx 2
	unchanged $knob 1 b ethtool -L dm0p rx 4 tx 4
	b ethtool -L dm0p rx 4 tx 4
	all_ok "$knob: new channels don't come half"
	unchanged $knob 1 b ring_split dm0p on
	all_ok "$knob: header split stays as it is"
done

for count in 2 3 4 5; do
	unchanged fail_alloc $count b ethtool -G dm0p rx 128
done
all_ok "however many allocations fail"

# The MTU may need new buffers or not: all or nothing.
for knob in fail_alloc fail_start; do
	echo 1 >$knobs/$knob
	if ip -n "$ns_b" link set dm0p mtu 9000 2>/dev/null; then
		want "MTU" 9000 "$(link_field "$ns_b" dm0p mtu)"
	else
		want "MTU" 1500 "$(link_field "$ns_b" dm0p mtu)"
	fi
	echo 0 >$knobs/$knob
	traffic_passes
	ip -n "$ns_b" link set dm0p mtu 1500
done
all_ok "an MTU is taken or refused, and works"

# --- under traffic ---------------------------------------------------------

# Frames wait in the port's own rings while those are taken away and put back.
a ethtool -G dm0 rx 64
nsenter --net="/run/netns/$ns_b" traffic udp 10.9.0.1 -f -s 1000 -c 8 -t 60 >/dev/null 2>&1 &
flood=$!
for i in {1..15}; do
	echo 1 >$knobs/fail_start
	b ethtool -G dm0p rx $((64 << i % 3)) >/dev/null 2>&1
done
echo 0 >$knobs/fail_start
kill $flood
wait $flood
a ethtool -G dm0 rx 512
traffic_passes
all_ok "starts that fail in a flood do no harm"

serve a
a traffic tcp 10.9.0.2 -c 4 -t 6 -R 1M >"$tmp/there" 2>&1 &
there=$!
b traffic tcp fd09::1 -c 6 -t 6 >"$tmp/back" 2>&1 &
back=$!
rounds=0
while kill -0 $there 2>/dev/null; do
	for knob in fail_alloc fail_start; do
		echo 1 >$knobs/$knob
		b ethtool -G dm0p rx $((64 << RANDOM % 4)) >/dev/null 2>&1
		echo 1 >$knobs/$knob
		b ethtool -L dm0p rx $((1 + RANDOM % 4)) >/dev/null 2>&1
		echo 0 >$knobs/$knob
	done
	rounds=$((rounds + 1))
done
wait $there $back
is "failures under traffic leave it intact ($rounds rounds)" "4 6" \
	"$(word good <"$tmp/there") $(word good <"$tmp/back")" \
	"$(cat "$tmp/there" "$tmp/back")"

# --- the DMA engine --------------------------------------------------------

quiet_pair
q0=$root/$(permanent c $ns_c q0) q0p=$root/$(permanent c $ns_c q0p)
for state in off on; do
	c ring_split q0p $state
	before c q0p
	errors=$(link_stat $ns_c q0p rx errors)
	echo 3 >$q0p/fail_rx_dma
	c inject q0 n=10 step=sport >/dev/null
	after rx_packets 7 rx_dma_refused 3
	want "refused and received, split $state" "3 7" \
		"${moved[rx_dma_refused]} ${moved[rx_packets]}"
	want "errors of the link, split $state" 3 \
		"$(($(link_stat $ns_c q0p rx errors) - errors))"
	want "failures left" 0 "$(<$q0p/fail_rx_dma)"
done
all_ok "frames that the DMA engine refuses are dropped and counted"

consumed() {
	[ "$(<$knobs/fail_rx_dma)" = 0 ]
}
for state in on off; do
	b ring_split dm0p $state
	toggle b dm0p rx-gro-hw on
	before b dm0p
	a traffic tcp 10.9.0.2 -c 4 -t 3 >"$tmp/stream" 2>&1 &
	stream=$!
	strikes=0
	while kill -0 $stream 2>/dev/null && [ $strikes -lt 20 ]; do
		echo 1 >$knobs/fail_rx_dma
		strikes=$((strikes + 1))
		want_ok wait_for 60 consumed
	done
	wait $stream
	after
	want "streams intact, split $state" 4 "$(word good <"$tmp/stream")"
	want "refused, split $state" $strikes "${moved[rx_dma_refused]}"
	[ "${moved[rx_gro_packets]}" -gt 100 ] || want "joined frames, split $state" "many" "${moved[rx_gro_packets]}"
done
toggle b dm0p rx-gro-hw off
all_ok "also amid frames that are being joined"

# refused_to_send FAILURES FRAMES KEY=VALUE...: so many go out in spite of those
refused_to_send() {
	local failures=$1 frames=$2 errors

	shift 2
	before c q0
	errors=$(link_stat $ns_c q0 tx errors)
	echo $failures >$q0/fail_tx_dma
	c inject q0 "$@" >/dev/null
	after tx_packets $frames tx_dma_refused $failures
	want "refused and sent: $*" "$failures $frames" \
		"${moved[tx_dma_refused]} ${moved[tx_packets]}"
	want "errors of the link: $*" $failures "$(($(link_stat $ns_c q0 tx errors) - errors))"
}
refused_to_send 2 8 n=10
refused_to_send 1 20 n=3 gso=1000 len=10000
refused_to_send 0 10 n=10
all_ok "packets that it refuses are not sent, and counted"

# --- names -----------------------------------------------------------------

same=02:77:00:00:00:02
link_add $ns_c twin address $same
link_add $ns_c other address $same
echo 1 >$root/$same.2/fail_alloc
want_ok ip -n "$ns_c" link set twin up
want "failures of the first" 0 "$(<$root/$same/fail_alloc)"
ip -n "$ns_c" link set other up 2>/dev/null
want "failures of the second, after its turn" 0 "$(<$root/$same.2/fail_alloc)"
want "the second" DOWN "$(ip -n "$ns_c" -o link show other | grep -o 'state [A-Z]*' | cut -d' ' -f2)"
ip -n "$ns_c" link del twin
want "folders, the first gone" "$root/$same.2" "$(echo $root/$same*)"
ip -n "$ns_c" link del other
want "folders, both gone" "" "$(find $root -name "$same*")"
all_ok "ports that share an address have a folder each"

echo -1 >$knobs/fail_alloc
ip -n "$ns_b" link set dm0p down
passes "fewer than no failures are none" ip -n "$ns_b" link set dm0p up

ip -n "$ns_a" link del dm0
is "the folders go with the ports" 0 "$(find $root -mindepth 1 -name "$perm_a" -o -name "$perm_b" | wc -l)"
finish
