#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Receive-side scaling: the hash, its fields, its key and the table.
# shellcheck disable=SC2317,SC2119,SC2086 # functions called by name, options as words
. "$(dirname "$0")/lib.sh"

plan 30
topology quiet numrxqueues 64 numtxqueues 4

# The verification suite for Toeplitz hashing that NIC vendors share: its key,
# then source, destination, the hash without ports and the one with them.
suite_key=6d:5a:56:da:25:5b:0e:c2:41:67:25:3d:43:a3:8f:b0:d0:ca:2b:cb:ae:7b:30:b4
suite_key+=:77:cb:2d:a3:80:30:f2:0c:6a:42:b7:3b:be:ac:01:fa
suite4="66.9.149.187 2794 161.142.100.80 1766 0x323e8fc2 0x51ccc178
199.92.111.2 14230 65.69.140.83 4739 0xd718262a 0xc626b0ea
24.19.198.95 12898 12.22.207.184 38024 0xd2d0a5de 0x5c2b394a
38.27.205.30 48228 209.142.163.6 2217 0x82989176 0xafc7327f
153.39.163.191 44251 202.188.127.2 1303 0x5d1809c5 0x10e828a2"
suite6="3ffe:2501:200:1fff::7 2794 3ffe:2501:200:3::1 1766 0x2cc18cd5 0x40207d3d
3ffe:501:8::260:97ff:fe40:efab 14230 ff02::1 4739 0x0f0c461c 0xdde51bbf
3ffe:1900:4545:3:200:f8ff:fe21:67cf 44251 fe80::200:f8ff:fe21:67cf 38024 0x4b61e985 0x02d1feef"
zero_key=00$(printf ':00%.0s' {1..39})

rxfh() {
	b ethtool -X dm0p "$@"
}

# table: its entries, in a row
table() {
	b ethtool -x dm0p | sed -n 's/^ *[0-9]*: //p' | xargs
}

key() {
	b ethtool -x dm0p | grep -Eo '^([0-9a-f]{2}:){4,}[0-9a-f]{2}'
}

# fields_are TYPE FIELDS COUNT
fields_are() {
	want_ok b ethtool -N dm0p rx-flow-hash "$1" "$2"
	want "fields of $1 with $2" "$3" \
		"$(b ethtool -n dm0p rx-flow-hash "$1" | grep -c '^IP [SD]A\|^L4 bytes')"
}

# vectors LIST 2|4 SHARE KEY=VALUE...: wants each on the queue that its hash over 2
# or 4 fields leads to, when the table gives SHARE entries in a row to a queue
vectors() {
	local list=$1 column=$2 share=$3 src sport dst dport hash2 hash4

	shift 3
	while read -r src sport dst dport hash2 hash4; do
		local hash=$hash4

		[ "$column" = 4 ] || hash=$hash2
		want "$src to $dst, $*" "$(((hash & 127) / share % 64)):3" \
			"$(landed 3 src=$src dst=$dst sport=$sport dport=$dport "$@")"
	done <<<"$list"
}

# --- the table and the key -------------------------------------------------

is "the table has 128 entries" 128 "$(table | wc -w)"
is "which name all queues in turn" "$(for i in {0..127}; do echo $((i % 64)); done | xargs)" \
	"$(table)"
is "the key has 40 bytes" 40 "$(key | tr : '\n' | wc -l)"
is_not "and is not zero" "$zero_key" "$(key)"
passes "a key can be set" rxfh hkey $suite_key
is "and read" $suite_key "$(key)"
refuses "another hash function is refused" "." rxfh hfunc xor

# --- known answers ---------------------------------------------------------

for type in tcp4 udp4 tcp6 udp6; do
	want_ok b ethtool -N dm0p rx-flow-hash $type sdfn
done
want_ok rxfh equal 64
vectors "$suite4" 4 1
all_ok "TCP over IPv4 has the known hashes"
vectors "$suite6" 4 1
all_ok "TCP over IPv6 too"
vectors "$(head -n 3 <<<"$suite4")" 4 1 proto=udp
vectors "$(head -n 2 <<<"$suite6")" 4 1 proto=udp
vectors "$(head -n 2 <<<"$suite4")" 4 1 proto=udp csum=none
all_ok "and UDP"
vectors "$(head -n 3 <<<"$suite4")" 4 1 ipopt=12
vectors "$(head -n 3 <<<"$suite4")" 4 1 vlan=7
all_ok "IP options and a VLAN tag don't matter"
vectors "$suite4" 2 1 proto=icmp
vectors "$suite6" 2 1 proto=icmp
all_ok "without ports it is the addresses"
want_ok rxfh weight 1 1
vectors "$suite4" 4 64
vectors "$suite6" 4 64
all_ok "the table's upper half works too"
want_ok rxfh equal 64
src=$(landed 3 frag=0+ src=66.9.149.187 dst=161.142.100.80 sport=2794)
dst=$(landed 3 frag=100 src=66.9.149.187 dst=161.142.100.80 sport=2794)
is "all fragments of a packet land together" "$src" "$dst"

# --- fields ----------------------------------------------------------------

for type in tcp4 udp4 tcp6 udp6; do
	fields_are $type sd 2
done
vectors "$(head -n 2 <<<"$suite4")" 2 1
vectors "$(head -n 2 <<<"$suite4")" 2 1 proto=udp
vectors "$(head -n 2 <<<"$suite6")" 2 1
vectors "$(head -n 2 <<<"$suite6")" 2 1 proto=udp
all_ok "every flow type can be hashed by address only"
fields_are tcp4 sdfn 4
vectors "$(head -n 2 <<<"$suite4")" 4 1
vectors "$(head -n 2 <<<"$suite4")" 2 1 proto=udp
vectors "$(head -n 2 <<<"$suite6")" 2 1
all_ok "and each by itself"
b ethtool -N dm0p rx-flow-hash tcp6 sdfn

# --- what the stack is told ------------------------------------------------

hashed() {
	sniff="-t 60 -d in -n 2 -H $1"
	sniffed b dm0p a inject dm0 n=2 src=66.9.149.187 dst=161.142.100.80 \
		sport=2794 dport=1766
	wc -l <"$tmp/sniff"
}
is "the packet carries the hash" 2 "$(hashed 0x51ccc178)"
toggle b dm0p rxhash off
is "unless rxhash is off" 2 "$(hashed 0)"
is "which leaves the queues alone" "$((0x51ccc178 & 63)):3" \
	"$(landed 3 src=66.9.149.187 dst=161.142.100.80 sport=2794 dport=1766)"
toggle b dm0p rxhash on

# --- table and key at work -------------------------------------------------

rxfh weight 0 0 0 1
is "weights choose queues" "3:32" "$(landed 32 step=sport)"
rxfh equal 2
is "so does equal" "0 1" "$(landed 64 step=sport | tr ' ' '\n' | cut -d: -f1 | xargs)"
rxfh equal 64 hkey $zero_key
is "a key of zero sends all to the first entry" "0:32" "$(landed 32 step=sport)"
rxfh hkey $suite_key
refuses "a queue that isn't there is refused" "." rxfh equal 65

# --- channels --------------------------------------------------------------

lanes() {
	b ethtool -L dm0p rx "$1"
}
rxfh equal 4
refuses "fewer channels than the table names are refused" "." lanes 3
is "and nothing changed" "0 1 2 3" "$(table | tr ' ' '\n' | sort -nu | xargs)"
want_ok lanes 4
want_ok rxfh default
want_ok lanes 2
want "the table" "0 1" "$(table | tr ' ' '\n' | sort -nu | xargs)"
want "the queues" "0 1" "$(landed 64 step=sport | tr ' ' '\n' | cut -d: -f1 | xargs)"
want_ok lanes 64
want "queues named then" 64 "$(table | tr ' ' '\n' | sort -nu | wc -l)"
all_ok "a table nobody set follows the channels"
rxfh weight 0 0 0 0 0 1
ip -n "$ns_b" link set dm0p down
ip -n "$ns_b" link set dm0p up
wait_for 60 ready "$ns_a" dm0
is "a table somebody set outlives down and up" "5:8 $suite_key" "$(landed 8) $(key)"

# --- under traffic ---------------------------------------------------------

ip netns exec "$ns_a" sysctl -qw net.ipv6.conf.dm0.disable_ipv6=0
ip netns exec "$ns_b" sysctl -qw net.ipv6.conf.dm0p.disable_ipv6=0
addresses
serve b
rxfh default
a traffic tcp 10.9.0.2 -c 8 -t 3 -R 1M >"$tmp/stream" 2>&1 &
stream=$!
while kill -0 $stream 2>/dev/null; do
	want_ok rxfh equal $((1 + RANDOM % 64))
	want_ok rxfh weight 0 1 2 3
	want_ok rxfh default hkey $suite_key
done
wait $stream
want "streams intact" 8 "$(word good <"$tmp/stream")"
all_ok "table and key change under traffic, which arrives intact"
# Linux 6.1 gives out ports in sequence, and with some keys those have the same low bits
# of the hash. With this one bits 1 to 3 of the source port are the low bits.
rxfh equal 8 hkey "00$(printf ':00%.0s' {1..12}):10$(printf ':00%.0s' {1..26})"
spread=$(a traffic tcp 10.9.0.2 -c 32 -n 16k 2>&1)
within "connections spread over the NAPIs" 4 8 "$(word napis <<<"$spread")" \
	"$spread" "$(b ethtool -S dm0p | grep -E ' rx[0-9]+_packets: [1-9]')" "$(table)"
finish
