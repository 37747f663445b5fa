#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# What Linux builds on a NIC: VLANs, bridges, routing, lossy links, mirrors, taps.
# shellcheck disable=SC2317,SC2119,SC2086 # functions called by name, options as words
. "$(dirname "$0")/lib.sh"

plan 20
topology
for module in 8021q bridge sch_netem sch_ingress act_mirred cls_matchall; do
	modprobe -q $module
done
ipa="ip -n $ns_a" ipb="ip -n $ns_b" ipc="ip -n $ns_c"
b ring_split dm0p on 2>/dev/null
a ring_split dm0 on 2>/dev/null

streams() {
	passes "$1: streams arrive intact" a traffic tcp "$2" -c 4 -r
}

# --- VLAN ------------------------------------------------------------------

if $ipa link add link dm0 name dm0.5 type vlan id 5 2>/dev/null; then
	$ipb link add link dm0p name dm0p.5 type vlan id 5
	$ipa addr add 10.5.0.1/24 dev dm0.5
	$ipb addr add 10.5.0.2/24 dev dm0p.5
	$ipa link set dm0.5 up
	$ipb link set dm0p.5 up
	serve b
	before a dm0
	streams "a VLAN" 10.5.0.2
	after
	within "a VLAN: the device cuts segments" 1 10000 "${moved[tx_tso_packets]}"
	toggle b dm0p gro off
	sniffed_until "dport=7000 .*flags=[A-Z]*F" b dm0p \
		a traffic tcp 10.5.0.2 -n 128k >/dev/null
	is "a VLAN: every frame has the tag and a good checksum" "5 ok ok" \
		"$(fields vlan csum ipcsum | sort -u)"
	# a capture has the tag in the frame, or beside it
	within "a VLAN: none is longer than the MTU" 1514 1518 \
		"$(fields len | sort -n | tail -n 1)"
	toggle b dm0p gro on
	a traffic tcp 10.5.0.2 -t 2 -T 2 >/dev/null 2>&1 &
	$ipa link del dm0.5
	$ipb link del dm0p.5
	wait
	ok "a VLAN: it can be deleted in use"
else
	serve b
	for _ in 1 2 3 4 5; do skip "a VLAN" "no 8021q module"; done
fi

# --- loss, reordering, damage ----------------------------------------------

# lossy WHAT NETEM...
lossy() {
	local what=$1

	shift
	if ! a tc qdisc add dev dm0 root netem "$@" 2>"$tmp/tc"; then
		skip "$what" "$(head -n 1 "$tmp/tc")"
		return
	fi
	passes "$what: streams arrive intact" a traffic tcp 10.9.0.2 -c 4 -n 512k -r
	a tc qdisc del dev dm0 root
}
# netem looks at what the stack hands over: make that single frames, of which there
# are enough for a few per cent to be some.
a ip link set dm0 gso_max_segs 1
# ARP has no checksum: a bit flipped in it would be believed.
ip -n "$ns_a" neigh replace 10.9.0.2 lladdr "$(mac_of "$ns_b" dm0p)" dev dm0 nud permanent
ip -n "$ns_b" neigh replace 10.9.0.1 lladdr "$(mac_of "$ns_a" dm0)" dev dm0p nud permanent
lossy "2 % loss" loss 2%
lossy "reordering and duplicates" delay 1ms reorder 25% 50% duplicate 2%
before b dm0p
lossy "flipped bits" corrupt 2%
after
if grep -q . "$tmp/tc"; then
	skip "flipped bits: the device saw some" "no netem"
else
	within "flipped bits: the device saw some" 1 100000 "${moved[rx_csum_bad]}"
fi

# --- a third party ---------------------------------------------------------
#
#     netns a       netns b                        netns c
#     dm0 <===> dm0p (bridged or routed) dm1 <===> dm1p

new_ns "$ns_c"
link_add "$ns_b" dm1
$ipb link set dm1p netns "$ns_c"
$ipb link set dm1 up
$ipc link set dm1p up
serve c

$ipc addr add 10.8.0.3/24 dev dm1p
$ipc -6 addr add fd08::3/64 dev dm1p nodad
$ipb addr add 10.8.0.2/24 dev dm1
$ipb -6 addr add fd08::2/64 dev dm1 nodad
b sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
$ipa route add 10.8.0.0/24 via 10.9.0.2
$ipa route add fd08::/64 via fd09::2
$ipc route add 10.9.0.0/24 via 10.8.0.2
$ipc route add fd09::/64 via fd08::2
# A router asks for its neighbours from its link-local address.
settled() {
	! ip -n "$ns_b" -6 addr show tentative | grep -q .
}
wait_for 60 settled
streams "a router, IPv4" 10.8.0.3
streams "a router, IPv6" fd08::3
passes "a router: datagrams too" a traffic udp 10.8.0.3 -n 100 -s 1400
toggle b dm0p gro off
toggle b dm1 tso off
streams "a router without GRO and TSO" 10.8.0.3
toggle b dm0p gro on
toggle b dm1 tso on sg off tx off
streams "a router that copies" 10.8.0.3
toggle b dm1 sg on tx on
toggle b dm1 tso on
b sysctl -qw net.ipv4.ip_forward=0 net.ipv6.conf.all.forwarding=0
$ipc route del 10.9.0.0/24
$ipc route del fd09::/64

if b tc qdisc add dev dm0p ingress 2>/dev/null &&
   b tc filter add dev dm0p ingress matchall action mirred egress mirror dev dm1 2>/dev/null; then
	sniff="-t 60 -d in -n 5 -p tcp"
	sniffed c dm1p a inject dm0 n=5 len=1200
	is "a mirror shows whole frames" "5 1200 ok ok" \
		"$(fields payload content csum | sort | uniq -c | xargs)"
	passes "and leaves the streams intact" a traffic tcp 10.9.0.2 -c 2 -n 512k
	b tc qdisc del dev dm0p ingress
else
	skip "a mirror shows whole frames" "no act_mirred"
	skip "and leaves the streams intact" "no act_mirred"
fi

if $ipb link add br0 type bridge 2>/dev/null; then
	$ipb addr flush dev dm0p
	$ipb addr flush dev dm1
	$ipb link set dm0p master br0
	$ipb link set dm1 master br0
	$ipb link set br0 up
	$ipc addr add 10.9.0.3/24 dev dm1p
	$ipc -6 addr add fd09::3/64 dev dm1p nodad
	wait_for 60 a traffic tcp 10.9.0.3 -n 1k -T 2
	streams "a bridge, IPv4" 10.9.0.3
	streams "a bridge, IPv6" fd09::3
	$ipa link set dm0 mtu 9000
	$ipb link set dm0p mtu 9000
	$ipb link set dm1 mtu 9000
	$ipc link set dm1p mtu 9000
	streams "a bridge of large frames" 10.9.0.3
else
	for _ in 1 2 3; do skip "a bridge" "no bridge module"; done
fi
finish
