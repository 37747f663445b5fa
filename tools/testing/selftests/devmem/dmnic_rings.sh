#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Rings and channels: sizes, changes under traffic, exhaustion, and the counts.
# shellcheck disable=SC2317,SC2119,SC2086 # functions called by name, options as words
. "$(dirname "$0")/lib.sh"

plan 35
topology
serve b
serve a

# rings [WHICH]: "rx tx" as set, or the most there can be
rings() {
	b ethtool -g dm0p | awk -v part="${1:-Current}" '
		/^Pre-set/ { on = part == "most" }
		/^Current/ { on = part == "Current" }
		on && ($1 == "RX:" || $1 == "TX:") { printf "%s%s", n++ ? " " : "", $2 }
		END { print "" }'
}

lanes() {
	b ethtool -l dm0p | awk '
		/^Current/ { on = 1 }
		on && ($1 == "RX:" || $1 == "TX:") { printf "%s%s", n++ ? " " : "", $2 }
		END { print "" }'
}

resize() {
	b ethtool -G dm0p "$@"
}

# about SIZE GOT: SIZE too if GOT is what it may have been rounded up to
about() {
	if [ "$2" -ge "$1" ] && [ "$2" -lt $((2 * $1)) ]; then
		echo "$1"
	else
		echo "$2"
	fi
}

traffic_passes() {
	want_ok a traffic tcp 10.9.0.2 -c 4 -n 256k -r
	want_ok b traffic tcp fd09::1 -c 4 -n 256k -r
}

# --- ring sizes ------------------------------------------------------------

is "rings start with 512 buffers and descriptors" "512 512" "$(rings)"
read -r most_rx most_tx <<<"$(rings most)"
within "and can have more" 512 65536 "$most_rx"

sizes="64 128 1000 $most_rx"
for size in $sizes; do
	want_ok resize rx $size
	want "rx ring" $size "$(about $size "$(rings | cut -d' ' -f1)")"
	traffic_passes
done
all_ok "rx rings of $sizes work"
sizes="64 128 1000 $most_tx"
for size in $sizes; do
	want_ok resize tx $size
	want "tx ring" $size "$(about $size "$(rings | cut -d' ' -f2)")"
	traffic_passes
done
all_ok "tx rings of $sizes work"
refuses "a larger rx ring is refused" "invalid|exceed|range" resize rx $((most_rx + 1))
refuses "a larger tx ring is refused" "invalid|exceed|range" resize tx $((most_tx + 1))

# A ring of next to nothing is refused or rounded up, but it never stops the device.
for key in rx tx; do
	for size in 0 1 2; do
		resize $key $size >/dev/null 2>&1
		traffic_passes
	done
done
all_ok "rings of 0 to 2 are refused or made to work"
want_ok resize rx 512 tx 512
want "rings" "512 512" "$(rings)"
ip -n "$ns_b" link set dm0p down
want_ok resize rx 128 tx 256
ip -n "$ns_b" link set dm0p up
ip -n "$ns_b" addr add fd09::2/64 dev dm0p nodad 2>/dev/null
want "rings" "128 256" "$(rings)"
traffic_passes
want_ok resize rx 512 tx 512
all_ok "a port that is down takes a new size too"

# --- channels --------------------------------------------------------------

is "all queues are channels at first" "4 4" "$(lanes)"
for pair in "1 3" "3 1" "2 2" "1 1" "4 4"; do
	want_ok b ethtool -L dm0p rx ${pair% *} tx ${pair#* }
	want "channels" "$pair" "$(lanes)"
	before b dm0p
	traffic_passes
	after
	want "queues beyond ${pair% *} that got frames" "" \
		"$(queues rx | tr ' ' '\n' | awk -F: -v n=${pair% *} '$1 >= n' | xargs)"
	want "queues beyond ${pair#* } that sent frames" "" \
		"$(queues tx | tr ' ' '\n' | awk -F: -v n=${pair#* } '$1 >= n' | xargs)"
done
all_ok "rx and tx channels are chosen apart, and only those are used"
refuses "no channel at all is refused" "." b ethtool -L dm0p rx 0
refuses "nor any to send" "." b ethtool -L dm0p tx 0
refuses "more than there are queues are refused" "." b ethtool -L dm0p rx 5
is "and all that changed nothing" "4 4" "$(lanes)"

# --- all of it under traffic -----------------------------------------------

# under_traffic CMD: runs it again and again while streams go both ways
under_traffic() {
	local there back rounds=0

	a traffic tcp 10.9.0.2 -c 4 -t 4 -R 2M -r >"$tmp/there" 2>&1 &
	there=$!
	b traffic tcp fd09::1 -c 4 -t 4 -R 2M -r >"$tmp/back" 2>&1 &
	back=$!
	b traffic udp 10.9.0.1 -f -t 4 -R 2M >/dev/null 2>&1 &
	while kill -0 $there 2>/dev/null || kill -0 $back 2>/dev/null; do
		"$@" $((rounds++))
	done
	wait
	want "streams intact, there" 4 "$(word good <"$tmp/there")" "$(cat "$tmp/there")"
	want "streams intact, back" 4 "$(word good <"$tmp/back")" "$(cat "$tmp/back")"
	echo "# $rounds rounds"
}

ring_round() {
	want_ok b ethtool -G dm0p rx $((64 << RANDOM % 6)) tx $((64 << RANDOM % 4))
	want_ok a ethtool -G dm0 rx $((64 << RANDOM % 6))
}
under_traffic ring_round
all_ok "rings change under traffic, which arrives intact"
want_ok b ethtool -G dm0p rx 512 tx 512
want_ok a ethtool -G dm0 rx 512

lane_round() {
	want_ok b ethtool -L dm0p rx $((1 + RANDOM % 4)) tx $((1 + RANDOM % 4))
	want_ok a ethtool -L dm0 rx $((1 + RANDOM % 4)) tx $((1 + RANDOM % 4))
}
under_traffic lane_round
all_ok "channels change under traffic, which arrives intact"
want_ok b ethtool -L dm0p rx 4 tx 4
want_ok a ethtool -L dm0 rx 4 tx 4

split_round() {
	local states=(on off)

	want_ok b ring_split dm0p "${states[$1 % 2]}"
	want_ok b ethtool -G dm0p rx $((256 << $1 % 2))
}
under_traffic split_round
all_ok "so do header split and rings together"
want_ok b ring_split dm0p auto
want_ok b ethtool -G dm0p rx 512

# What is too long for the other end is lost. The streams end when both take all.
mtu_round() {
	local more=$((SECONDS < mtu_end ? 7717 : 1)) least=$((SECONDS < mtu_end ? 1500 : 9216))

	ip -n "$ns_a" link set dm0 mtu $((least + RANDOM % more))
	ip -n "$ns_b" link set dm0p mtu $((least + RANDOM % more))
}
mtu_end=$((SECONDS + 4))
under_traffic mtu_round
all_ok "the MTU changes under traffic, which arrives intact"

want_ok ip -n "$ns_a" link set dm0 mtu 9216
want_ok ip -n "$ns_b" link set dm0p mtu 9216
for state in on off; do
	want_ok b ring_split dm0p $state
	want_ok b ethtool -G dm0p rx 64 tx 64
	traffic_passes
	want_ok a traffic udp 10.9.0.2 -n 64 -s 9188
done
all_ok "the smallest rings carry the largest frames"
want_ok b ring_split dm0p auto
want_ok b ethtool -G dm0p rx 512 tx 512
want_ok ip -n "$ns_a" link set dm0 mtu 1500
want_ok ip -n "$ns_b" link set dm0p mtu 1500

# --- exhaustion ------------------------------------------------------------

sent_by_a() {
	a ethtool -S dm0 | awk '$1 == "tx_packets:" { print $2 }'
}

# What came to dm0p is read first: a frame on its way makes it less, never more.
all_accounted() {
	after
	arrived=$((moved[rx_packets] + moved[rx_ring_empty] + moved[rx_alloc_failed] + moved[rx_dma_refused]))
	sent=$(($(sent_by_a) - sent_before))
	[ $sent -ge 12000 ] && [ $arrived = $sent ]
}

# The stack may send of its own accord: what is counted has to begin between frames.
between_frames() {
	sent_before=$(sent_by_a)
	before b dm0p
	after
	[ "${moved[rx_packets]}" = 0 ] && [ "$(sent_by_a)" = "$sent_before" ]
}

# One segment that becomes hundreds of frames asks for more than 64 buffers before
# the port's poll can run. The wire may wait, or drop and count, but not lose.
b ethtool -G dm0p rx 64
wait_for 60 between_frames
a inject dm0 n=20 gso=100 len=60000 >/dev/null
wait_for 60 all_accounted
# The stack may send a few frames of its own meanwhile.
within "a burst of frames beyond the ring is sent" 12000 12020 "$sent"
within "some of it arrives" 64 12020 "${moved[rx_packets]}"
is "every frame sent was received or counted as dropped" "$sent" "$arrived"
before b dm0p
traffic_passes
after
all_ok "and then traffic passes as ever"
b ethtool -G dm0p rx 512

# --- the counts ------------------------------------------------------------

before b dm0p
after
for key in rx_packets rx_bytes rx_split_packets rx_unsplit_packets rx_ring_empty \
	rx_alloc_failed rx_dma_refused rx_csum_bad rx_rule_drops tx_packets tx_bytes \
	tx_tso_packets tx_niov_bytes tx_dma_refused rx_stopped rx{0..3}_{packets,bytes,split_packets,unsplit_packets} \
	rx{0..3}_{ring_empty,alloc_failed,dma_refused,stopped} \
	tx{0..3}_{packets,bytes,tso_packets,niov_bytes,dma_refused}; do
	[ -v "moved[$key]" ] || want "counts" $key absent
done
all_ok "all the counts are there"

quiet_pair
before c q0p
c inject q0 n=50 len=946 step=sport >/dev/null
c inject q0 n=50 proto=udp len=958 step=sport >/dev/null
after rx_packets 100
is "a frame received is a packet and its bytes" "100 100000" \
	"${moved[rx_packets]} ${moved[rx_bytes]}"
for key in packets bytes split_packets unsplit_packets; do
	sum=0
	for i in 0 1 2 3; do
		sum=$((sum + ${moved[rx${i}_$key]:-0}))
	done
	want "the queues' $key" "${moved[rx_$key]}" $sum
done
all_ok "the queues' counts add up"
link_count() {
	ip -n "$1" -s -o link show "$2" | awk -v dir="$3" '{
		for (i = 1; i <= NF; i++)
			if ($i ~ dir ":$") { for (; i <= NF; i++) if ($i ~ /^[0-9]+$/) { print $i, $(i + 1); exit } }
	}'
}
read -r bytes packets <<<"$(link_count "$ns_c" q0p RX)"
before c q0
c inject q0p n=30 len=446 step=sport >/dev/null
c inject q0p n=2 gso=1000 len=10000 >/dev/null
after rx_packets 50
is "the other way too" "50" "${moved[rx_packets]}"
before c q0p
c inject q0 n=10 len=946 >/dev/null
after rx_packets 10
read -r bytes_then packets_then <<<"$(link_count "$ns_c" q0p RX)"
is "ip -s link counts the same" "10 10000" "$((packets_then - packets)) $((bytes_then - bytes))"
before c q0p
read -r bytes packets <<<"$(link_count "$ns_c" q0p TX)"
c inject q0p n=30 len=446 step=sport >/dev/null
c inject q0p n=2 gso=1000 len=10000 >/dev/null
after tx_packets 50
# headers are sent with each frame that a segment becomes
is "what is sent is counted as it leaves: packets, bytes, cut ones" \
	"50 36080 2" "${moved[tx_packets]} ${moved[tx_bytes]} ${moved[tx_tso_packets]}"
read -r bytes_then packets_then <<<"$(link_count "$ns_c" q0p TX)"
is "and by ip -s link" "50 36080" "$((packets_then - packets)) $((bytes_then - bytes))"
total=$(c ethtool -S q0p | awk '$1 == "rx_packets:" { print $2 }')
c ethtool -L q0p rx 1
c ethtool -L q0p rx 4
ip -n "$ns_c" link set q0p down
ip -n "$ns_c" link set q0p up
total_then=$(c ethtool -S q0p | awk '$1 == "rx_packets:" { print $2 }')
is "no count goes back when channels go or the port goes down" \
	"$total" "$total_then"

# --- queues that stop ------------------------------------------------------

# Rings are exchanged while frames come: some meet a queue that is stopped, or are
# in a ring that goes.
stopped_some() {
	c ethtool -G q0p rx 64
	c ethtool -G q0p rx 512
	after
	[ "${moved[rx_stopped]}" -gt 0 ]
}

# Read in the order that frames take, last things first.
all_arrived() {
	after
	arrived=$((moved[rx_packets] + moved[rx_ring_empty] + moved[rx_stopped]))
	sent=$(($(link_stat $ns_c q0 tx packets) - sent_before))
	[ $arrived = $sent ]
}
sent_before=$(link_stat $ns_c q0 tx packets)
dropped=$(link_stat $ns_c q0p rx dropped)
before c q0p
nsenter --net="/run/netns/$ns_c" inject q0 n=100000000 step=sport >/dev/null 2>&1 &
flood=$!
wait_for 60 stopped_some
within "some frames meet a stopped queue" 1 100000000 "${moved[rx_stopped]}"
kill $flood
wait $flood
wait_for 60 all_arrived
is "each is counted: no frame is missing" "$sent" "$arrived"
is "by ip -s link as dropped" "${moved[rx_stopped]}" \
	"$(($(link_stat $ns_c q0p rx dropped) - dropped))"
finish
