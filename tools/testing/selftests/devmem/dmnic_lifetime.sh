#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Pairs, namespaces and the module itself come and go while frames fly.
# shellcheck disable=SC2317,SC2119,SC2086 # functions called by name, options as words
. "$(dirname "$0")/lib.sh"

plan 14
topology
new_ns "$ns_c"

# The file the module was loaded from, for it will be loaded again.
module=$(grep -s '/dmnic\.ko$' /run/lab/modules)
module=${module:-$(modinfo -n dmnic 2>/dev/null)}

devices() {
	local ns

	for ns in $(ip netns list | cut -d' ' -f1); do
		ip -n "$ns" -o link show type dmnic
	done
	ip -o link show type dmnic
}

# elsewhere PID: it is in another namespace than we are, or has ended
elsewhere() {
	! [ "/proc/$1/ns/net" -ef /proc/self/ns/net ]
}

# loud NETNS ARGUMENT...: traffic there, in the background. When this returns, those
# who look for what runs there find it.
loud() {
	local ns=$1

	shift
	nsenter --net="/run/netns/$ns" traffic "$@" >/dev/null 2>&1 &
	disown # bash is not to tell that it was killed
	wait_for 60 elsewhere $!
}

# noise [-R BYTES_PER_SECOND]: floods and streams in both directions, for as long
# as it takes. At full speed commands have to wait for their turn.
noise() {
	serve a
	serve b
	loud "$ns_a" udp 10.9.0.2 -f -c 4 -t 60 -s 1400 "$@"
	loud "$ns_b" udp fd09::1 -f -c 4 -t 60 -s 200 "$@"
	loud "$ns_a" tcp 10.9.0.2 -c 4 -t 60 "$@"
	loud "$ns_b" tcp 10.9.0.1 -c 4 -t 60 -r "$@"
	sleep 0.3
}

# silence NETNS: nothing runs there any more, nor holds a port or the namespace
silence() {
	local pid pids

	pids=$(ip netns pids "$1" 2>/dev/null)
	[ -z "$pids" ] || kill -9 $pids 2>/dev/null
	for pid in $pids; do
		wait_for 60 gone $pid
	done
}

hush() {
	silence "$ns_a"
	silence "$ns_b"
	wait 2>/dev/null
}

# pair: dm0 and dm0p again, between a and b
pair() {
	link_add "$ns_a" dm0 "$@" && ip -n "$ns_a" link set dm0p netns "$ns_b" || return
	addresses
	ip -n "$ns_a" link set dm0 up
	ip -n "$ns_b" link set dm0p up
	wait_for 60 ready "$ns_a" dm0
	wait_for 60 ready "$ns_b" dm0p
}

works() {
	serve b
	want_ok a traffic tcp 10.9.0.2 -c 4 -n 256k
	hush
}

# --- cycles ----------------------------------------------------------------

for i in {1..25}; do
	want_ok link_add "$ns_c" cycle numrxqueues $((1 + i % 8)) numtxqueues $((1 + i % 5))
	[ $((i % 2)) = 0 ] || ip -n "$ns_c" link set cycle up
	[ $((i % 3)) = 0 ] || ip -n "$ns_c" link set cyclep up
	want_ok ip -n "$ns_c" link del "$([ $((i % 4)) = 0 ] && echo cycle || echo cyclep)"
done
want "devices in the namespace" "" "$(ip -n "$ns_c" -o link show type dmnic)"
all_ok "25 pairs made and deleted, one by one"
for i in {1..12}; do
	want_ok link_add "$ns_c" many$i
	ip -n "$ns_c" link set many$i up
	ip -n "$ns_c" link set many${i}p up
done
want "devices" 24 "$(ip -n "$ns_c" -o link show type dmnic | wc -l)"
want_ok ip netns del "$ns_c"
all_ok "12 pairs deleted with their namespace"

# --- deleting under traffic ------------------------------------------------

for victim in dm0 dm0p; do
	noise
	if [ $victim = dm0 ]; then
		want_ok ip -n "$ns_a" link del dm0
	else
		want_ok ip -n "$ns_b" link del dm0p
	fi
	hush
	want_ok pair
	works
done
all_ok "a pair is deleted under traffic, from either end"
noise
ip -n "$ns_b" link set dm0p down
ip -n "$ns_b" link set dm0p netns "$ns_a"
ip -n "$ns_a" link set dm0p netns "$ns_b"
addresses 2>/dev/null
ip -n "$ns_b" link set dm0p up
hush
wait_for 60 ready "$ns_a" dm0
# The flood made a ask for b's address while there was no link. Who joins in when the
# last such question has gone unheard fails with it.
ip -n "$ns_a" neigh flush dev dm0
works
all_ok "an end moves under traffic"
noise
# a process in there would keep it alive, and so do the last bytes of its connections
silence "$ns_b"
ip netns del "$ns_b"
wait_for 150 sh -c "! ip -n $ns_a link show dm0"
want "devices in the other namespace" "" "$(ip -n "$ns_a" -o link show type dmnic)"
hush
new_ns "$ns_b"
want_ok pair
works
all_ok "a namespace is deleted under traffic"

# --- flapping --------------------------------------------------------------

noise -R 1M
end=$((SECONDS + 4)) flaps=0
while [ $SECONDS -lt $end ]; do
	want_ok ip -n "$ns_b" link set dm0p down
	want_ok ip -n "$ns_b" link set dm0p up
	want_ok ip -n "$ns_a" link set dm0 down
	want_ok ip -n "$ns_a" link set dm0 up
	flaps=$((flaps + 1))
done
hush
addresses 2>/dev/null
works
all_ok "ports flap $flaps times under traffic"

( while ip -n "$ns_b" link set dm0p down; do ip -n "$ns_b" link set dm0p up; done ) >/dev/null 2>&1 &
flapper=$!
noise
want_ok ip -n "$ns_a" link del dm0
wait $flapper
hush
all_ok "a flapping pair is deleted"

# --- everything at once ----------------------------------------------------

# again SECS CMD...: in the background, over and over, whatever comes of it
again() {
	local end=$((SECONDS + $1))

	shift
	while [ $SECONDS -lt $end ]; do
		"$@"
	done >/dev/null 2>&1 &
}

rings() {
	b ethtool -G dm0p rx $((64 << RANDOM % 5)) tx $((64 << RANDOM % 5))
	a ethtool -G dm0 rx $((64 << RANDOM % 5))
}

lanes() {
	b ethtool -L dm0p rx $((1 + RANDOM % 4)) tx $((1 + RANDOM % 4))
	a ethtool -L dm0 tx $((1 + RANDOM % 4))
}

spread() {
	b ethtool -X dm0p default
	b ethtool -X dm0p equal $((1 + RANDOM % 4))
}

halves() {
	b ring_split dm0p on
	b ring_split dm0p off
}

features() {
	toggle b dm0p gro off
	toggle b dm0p gro on
}

counts() {
	b ethtool -S dm0p
	ip -n "$ns_b" -s link show dm0p
}

rule() {
	b ethtool -N dm0p flow-type tcp4 dst-port 7000 action $((RANDOM % 4)) loc 0
	b ethtool -N dm0p delete 0
}

mtu() {
	ip -n "$ns_b" link set dm0p mtu $((1300 + RANDOM % 7900))
}

want_ok pair
serve b
a traffic tcp 10.9.0.2 -c 4 -t 6 -R 2M >"$tmp/stream" 2>&1 &
for change in rings lanes spread halves features counts rule; do
	again 5 $change
done
wait
want "streams intact" 4 "$(word good <"$tmp/stream")"
[ -z "$wants" ] || wants+=$(cat "$tmp/stream")
hush
b ethtool -X dm0p default
b ethtool -L dm0p rx 4 tx 4
works
all_ok "settings of all kinds change at once under traffic, which arrives intact"

noise
for change in rings halves counts mtu; do
	again 3 $change
done
sleep 1
want_ok ip -n "$ns_a" link del dm0
hush
all_ok "a pair is deleted while it is being changed"

# --- the module ------------------------------------------------------------

if [ -z "$module" ]; then
	for _ in 1 2 3 4; do skip "the module" "it can't be loaded again"; done
	finish
fi
want_ok pair
noise
want_ok rmmod dmnic
want "devices" "" "$(devices)"
want "the module" gone "$([ -d /sys/module/dmnic ] && echo there || echo gone)"
want "its debugfs folder" gone "$([ -d /sys/kernel/debug/dmnic ] && echo there || echo gone)"
hush
all_ok "the module goes under traffic, and takes all with it"
refuses "then there is no such kind of link" "unknown|not supported" link_add "$ns_a" dm0
want_ok insmod "$module"
want_ok pair numrxqueues 1 numtxqueues 1
works
want_ok ip -n "$ns_a" link del dm0
want "devices" "" "$(devices)"
for _ in 1 2 3; do
	want_ok rmmod dmnic
	want_ok insmod "$module"
done
all_ok "it comes back, and works"

# all_accepted: the server has its four streams
all_accepted() {
	[ "$(b ss -Htn state established sport = 7000 | wc -l)" = 4 ] &&
		[ "$(b ss -Hltn sport = 7000 | awk '{ print $2 }')" = 0 ]
}

# unread: bytes that the server has yet to read
unread() {
	b ss -Htn sport = 7000 | awk '{ sum += $2 } END { print sum + 0 }'
}

much_unread() {
	[ "$(unread)" -gt 50000 ]
}

# A reader that sleeps keeps what was received, until long after.
want_ok pair
serve b
a traffic tcp 10.9.0.2 -c 4 -t 300 -T 300 -R 4M >/dev/null 2>&1 &
wait_for 60 all_accepted
kill -STOP "$server"
wait_for 60 much_unread
want_ok ip -n "$ns_b" link del dm0p
want_ok rmmod dmnic
want_ok insmod "$module"
want_ok pair
held=$(unread)
[ "$held" -gt 50000 ] || want "bytes not yet read" "many" "$held"
kill -TERM "$server"
kill -CONT "$server"
wait_for 60 gone "$server"
want "streams that were all right" 4 "$(grep -c 'bad_at=-1$' "$tmp/serve")"
hush
works
all_ok "what was received outlives device and module ($held bytes)"
finish
