#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Header split: what is split, what is left whole, and that nobody can tell.
# shellcheck disable=SC2317,SC2119,SC2086 # functions called by name, options as words
. "$(dirname "$0")/lib.sh"

plan 27
topology quiet
mac_b=$(mac_of "$ns_b" dm0p)
six="src=2001:db8::1 dst=2001:db8::2"

split() {
	b ring_split dm0p "$@"
}

# all_seen COUNT: so many frames were received, and each counted as split or whole
all_seen() {
	after
	moved_by rx_packets "$1" && [ $((moved[rx_split_packets] + moved[rx_unsplit_packets])) -ge "$1" ]
}

# how COUNT KEY=VALUE...: "split whole" counts of the frames, which must be COUNT
how() {
	local count=$1

	shift
	before b dm0p
	a inject dm0 n=$count "$@" >/dev/null
	wait_for 60 all_seen $count
	echo "${moved[rx_split_packets]} ${moved[rx_unsplit_packets]}"
}

# --- the switch ------------------------------------------------------------

first=$(split)
is_not "the device can split" unsupported "$first"
passes "splitting is turned off" split off
is "and says so" off "$(split)"
passes "and on" split on
is "and says so" on "$(split)"
passes "and left to the device" split auto
is "which then does as at first" "$first" "$(split)"

# --- what is split ---------------------------------------------------------

split on
want "TCP" "7 0" "$(how 7 len=1000)"
want "one byte" "7 0" "$(how 7 len=1)"
want "a full frame" "7 0" "$(how 7 len=1460)"
want "TCP options" "7 0" "$(how 7 tcpopt=40)"
want "IP options" "7 0" "$(how 7 ipopt=40)"
want "all options" "7 0" "$(how 7 ipopt=40 tcpopt=40 len=1380)"
want "a VLAN tag" "7 0" "$(how 7 vlan=5)"
all_ok "TCP over IPv4 is split, options, tag and all"
want "TCP" "7 0" "$(how 7 $six len=1000)"
want "one byte" "7 0" "$(how 7 $six len=1)"
want "a full frame" "7 0" "$(how 7 $six len=1440)"
want "TCP options" "7 0" "$(how 7 $six tcpopt=40)"
want "a VLAN tag" "7 0" "$(how 7 $six vlan=5)"
all_ok "TCP over IPv6 too"

want "UDP" "0 7" "$(how 7 proto=udp)"
want "UDP over IPv6" "0 7" "$(how 7 proto=udp $six)"
want "ICMP" "0 7" "$(how 7 proto=icmp)"
want "ICMPv6" "0 7" "$(how 7 proto=icmp $six)"
want "ARP" "0 7" "$(how 7 proto=arp)"
want "no IP" "0 7" "$(how 7 proto=raw len=1400)"
want "VLAN, no IP" "0 7" "$(how 7 proto=raw vlan=5)"
all_ok "what isn't TCP stays whole"
want "the first" "0 7" "$(how 7 frag=0+)"
want "a middle one" "0 7" "$(how 7 frag=100+)"
want "the last" "0 7" "$(how 7 frag=185)"
want "the first of IPv6" "0 7" "$(how 7 frag=0+ $six)"
want "the last of IPv6" "0 7" "$(how 7 frag=185 $six)"
all_ok "fragments stay whole"
want "TCP" "0 7" "$(how 7 bad=l4)"
want "TCP over IPv6" "0 7" "$(how 7 bad=l4 $six)"
want "IP" "0 7" "$(how 7 bad=ip)"
all_ok "frames with bad checksums stay whole"
want "IP longer than the frame" "0 7" "$(how 7 iplen=1200)"
want "IP shorter than its headers" "0 7" "$(how 7 iplen=30)"
want "a TCP header of 8 bytes" "0 7" "$(how 7 doff=2)"
want "a TCP header past the end" "0 7" "$(how 7 doff=15 len=10)"
want "half an IP header" "0 7" "$(how 7 cut=24)"
want "half a TCP header" "0 7" "$(how 7 cut=44)"
want "half an IPv6 header" "0 7" "$(how 7 $six cut=40)"
all_ok "frames that lie stay whole"

split off
want "TCP" 0 "$(how 7 len=1000 | cut -d' ' -f1)"
want "TCP over IPv6" 0 "$(how 7 $six | cut -d' ' -f1)"
all_ok "with splitting off nothing is split"

# --- a threshold -----------------------------------------------------------

# A frame of TCP over IPv4 has 54 bytes of headers.
if [ "$(split thresh)" = unsupported ]; then
	for _ in 1 2 3; do skip "a threshold" "this kernel has no hds-thresh"; done
else
	split on
	want "at first" 0 "$(split thresh)"
	want_ok split thresh=500
	want "as set" 500 "$(split thresh)"
	want "a frame of 500 bytes" "0 7" "$(how 7 len=446)"
	want "a frame of 501 bytes" "7 0" "$(how 7 len=447)"
	want "501 bytes of UDP" "0 7" "$(how 7 proto=udp len=459)"
	all_ok "frames above the threshold are split, others stay whole"
	want_ok b ethtool -G dm0p rx 128
	want "with a new ring" 500 "$(split thresh)"
	want_ok split off
	want "with splitting off" "500 0 7" "$(split thresh) $(how 7 len=447)"
	want_ok split on
	want "and on again" "500 7 0" "$(split thresh) $(how 7 len=447)"
	want_ok b ethtool -G dm0p rx 512
	all_ok "it outlives other settings"
	refuses "one beyond all frames is refused" "hds-thresh is at most" split thresh=100000
	want_ok split thresh=0
fi

# --- the stack sees the same frames ----------------------------------------

# each FRAME...: one of each
each() {
	local frame

	for frame; do
		a inject dm0 $frame
	done
}

# seen WHAT FRAME...: wants a capture to show each, whole, in the order that their
# queues come to. The first word of a frame is its payload's length.
seen() {
	local what=$1 expected

	shift
	expected=$(for frame; do frame=${frame#len=}; echo "${frame%% *} ok ok"; done | sort -n)
	sniff="-t 60 -d in -n $#"
	sniffed b dm0p each "$@"
	want "$what" "$expected" "$(fields payload content csum | sort -n)"
}

for state in on off; do
	want_ok split $state
	seen "all sorts, split $state" len=1 len=2 len=127 len=1460 \
		"len=500 ipopt=40 tcpopt=40 vlan=9" "len=500 $six" \
		"len=501 $six ext=16" "len=3 pad=17" "len=900 proto=udp"
	ip -n "$ns_b" link set dm0p mtu 9216
	ip -n "$ns_a" link set dm0 mtu 9216
	seen "large ones, split $state" len=1 len=4042 len=4095 len=4096 len=4097 \
		len=8192 len=9176 "len=9156 $six" "len=9188 proto=udp"
	ip -n "$ns_b" link set dm0p mtu 1500
	ip -n "$ns_a" link set dm0 mtu 1500
done
all_ok "a capture sees whole frames, split or not"

# --- any frame at all ------------------------------------------------------

for state in on off; do
	split $state
	before b dm0p
	sent=$(a inject dm0 n=1500 fuzz=${SEED:-1} dmac=$mac_b | word sent)
	after rx_packets "$sent"
	is "1500 damaged frames arrive, split $state" "$sent" "${moved[rx_packets]}" \
		"${moved[rx_ring_empty]} dropped for want of buffers"
	# a frame that is all headers need not count as either
	within "and each with a payload is split or whole" $((sent * 9 / 10)) "$sent" \
		"$((moved[rx_split_packets] + moved[rx_unsplit_packets]))"
done

# --- under traffic ---------------------------------------------------------

ip netns exec "$ns_a" sysctl -qw net.ipv6.conf.dm0.disable_ipv6=0
ip netns exec "$ns_b" sysctl -qw net.ipv6.conf.dm0p.disable_ipv6=0
addresses
serve b
split on
before b dm0p
want_ok a traffic tcp 10.9.0.2 -c 3 -r
want_ok a traffic tcp fd09::2 -c 3 -r
after
within "streams arrive intact and are split" 3000 20000 "${moved[rx_split_packets]}" "$wants"
all_ok "each byte of them"

a traffic tcp 10.9.0.2 -c 4 -t 4 -R 2M >"$tmp/stream" 2>&1 &
stream=$!
flips=0
while kill -0 $stream 2>/dev/null; do
	want_ok split off
	want_ok split on
	flips=$((flips + 1))
done
wait $stream
all_ok "splitting is switched $flips times under traffic"
is "which arrives intact" 4 "$(word good <"$tmp/stream")" "$(cat "$tmp/stream")"
finish
