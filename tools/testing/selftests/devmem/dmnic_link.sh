#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Making, naming, moving and deleting pairs; carrier, addresses, MTU.
# shellcheck disable=SC2317 # functions called by name
. "$(dirname "$0")/lib.sh"

plan 44
needs_nic
needs traffic sniff inject ethtool
new_ns "$ns_a"
new_ns "$ns_b"
ipa="ip -n $ns_a" ipb="ip -n $ns_b"

names() {
	ip -n "$1" -o link show type "$KIND" | sed 's/^[0-9]*: //; s/[@:].*//' |
		sort | paste -sd ' '
}

ifindex() {
	ip -n "$1" -o link show "$2" | cut -d: -f1
}

carrier() {
	case $(ip -n "$1" -o link show "$2") in
	*LOWER_UP*) echo up ;;
	*) echo down ;;
	esac
}

has_carrier() {
	[ "$(carrier "$1" "$2")" = "$3" ]
}

# --- names -----------------------------------------------------------------

link_add "$ns_a" dm0
is "a pair has the names NAME and NAMEp" "dm0 dm0p" "$(names "$ns_a")"
is "its kind is dmnic" "$KIND" "$($ipa -d -o link show dm0 | grep -ow "$KIND" | head -1)"

refuses "a name in use is refused" "exist" link_add "$ns_a" dm0
$ipa link add taken type dummy 2>/dev/null || $ipa link add taken type bridge
$ipa link set taken name busyp
refuses "a pair whose peer's name is in use is refused" "exist|in use|taken" \
	link_add "$ns_a" busy
is "and leaves nothing behind" "dm0 dm0p" "$(names "$ns_a")"
$ipa link del busyp

$ipa link add type "$KIND"
if [ "$KIND" = dmnic ]; then
	is "without a name it is dmnic0 and dmnic0p" "dm0 dm0p dmnic0 dmnic0p" \
		"$(names "$ns_a")"
	$ipa link add type "$KIND"
	is "a second one without a name is another pair" 6 \
		"$(names "$ns_a" | wc -w)"
	for dev in $(names "$ns_a"); do
		[ "$dev" = dm0 ] || [ "$dev" = dm0p ] ||
			$ipa link del "$dev" 2>/dev/null
	done
	refuses "a name of 15 characters is refused, with the reason" \
		"Error: .*(name|long|character)" link_add "$ns_a" abcdefghijklmno
	passes "a name of 14 characters is not" link_add "$ns_a" abcdefghijklmn
	is "and its peer has 15" "abcdefghijklmn abcdefghijklmnp dm0 dm0p" \
		"$(names "$ns_a")"
	$ipa link del abcdefghijklmnp
else
	for _ in 1 2 3 4 5; do skip "names" "not dmnic"; done
fi

# --- queues ----------------------------------------------------------------

channels() {
	a ethtool -l "$1" 2>/dev/null |
		awk '$1 ~ /^[RT]X:$/ { print tolower($1) $2 }' | paste -sd ' '
}

queues_of() {
	echo "$(link_field "$ns_a" "$1" numrxqueues) $(link_field "$ns_a" "$1" numtxqueues)"
}

is "four queues each way unless told otherwise" "4 4" "$(queues_of dm0)"
is "and ethtool agrees, at the peer too" "rx:4 tx:4 rx:4 tx:4" "$(channels dm0p)"
link_add "$ns_a" wide numrxqueues 7 numtxqueues 3
is "the number of queues can be chosen" "7 3" "$(queues_of wide)"
is "for both ends" "7 3" "$(queues_of widep)"
is "they are the channels" "rx:7 tx:3 rx:7 tx:3" "$(channels wide)"
$ipa link del wide
passes "64 queues are possible" link_add "$ns_a" wide numrxqueues 64 numtxqueues 64
$ipa link del wide 2>/dev/null
refuses "65 receive queues are refused, with the reason" \
	"Error: .*(queue|64)" link_add "$ns_a" wide numrxqueues 65 numtxqueues 4
refuses "65 transmit queues are refused, with the reason" \
	"Error: .*(queue|64)" link_add "$ns_a" wide numrxqueues 4 numtxqueues 65
is "and nothing is left" "dm0 dm0p" "$(names "$ns_a")"

# --- identity --------------------------------------------------------------

is "ethtool names the driver" dmnic \
	"$(a ethtool -i dm0 2>/dev/null | sed -n 's/^driver: //p')"
mac0=$(mac_of "$ns_a" dm0) mac1=$(mac_of "$ns_a" dm0p)
permanent() {
	a ethtool -P dm0 | sed 's/.*: //'
}
is_not "the ends have different addresses" "$mac0" "$mac1"
is "the permanent address is the first one" "$mac0" "$(permanent)"
$ipa link set dm0 address 02:11:22:33:44:55
is "a changed address shows" 02:11:22:33:44:55 "$(mac_of "$ns_a" dm0)"
is "and leaves the permanent one" "$mac0" "$(permanent)"
is "there are no module parameters" no \
	"$([ -e /sys/module/dmnic/parameters ] && echo yes || echo no)"
link_add "$ns_a" mac address 02:aa:bb:cc:dd:ee
is "an address given at birth is taken" 02:aa:bb:cc:dd:ee "$(mac_of "$ns_a" mac)"
is_not "by one end only" 02:aa:bb:cc:dd:ee "$(mac_of "$ns_a" macp)"

# --- the end of one is the end of both -------------------------------------

$ipa link del mac
is "deleting an end deletes its peer" "dm0 dm0p" "$(names "$ns_a")"
$ipa link set dm0p netns "$ns_b"
is "an end moves to another namespace" "dm0 / dm0p" "$(names "$ns_a") / $(names "$ns_b")"
iflinks="$($ipa -o link show dm0 | sed 's/.*@if\([0-9]*\).*/\1/') \
$($ipb -o link show dm0p | sed 's/.*@if\([0-9]*\).*/\1/')"
is "the ends point at each other" \
	"$(ifindex "$ns_b" dm0p) $(ifindex "$ns_a" dm0)" "$iflinks"
link_add "$ns_b" x
$ipb link set x netns "$ns_a"
$ipa link del x
is "deleting an end deletes its peer elsewhere" "dm0p" "$(names "$ns_b")"
new_ns "$ns_c"
link_add "$ns_c" x
ip -n "$ns_c" link set xp netns "$ns_a"
ip netns del "$ns_c"
has_names() {
	[ "$(names "$1")" = "$2" ]
}
wait_for 60 has_names "$ns_a" dm0
is "so does deleting a namespace" "dm0" "$(names "$ns_a")"

# --- carrier ---------------------------------------------------------------

addresses
want "both down" "down down" "$(carrier "$ns_a" dm0) $(carrier "$ns_b" dm0p)"
$ipa link set dm0 up
want "one up" "down down" "$(carrier "$ns_a" dm0) $(carrier "$ns_b" dm0p)"
$ipb link set dm0p up
wait_for 60 has_carrier "$ns_a" dm0 up
want "both up" "up up" "$(carrier "$ns_a" dm0) $(carrier "$ns_b" dm0p)"
$ipa link set dm0 down
wait_for 60 has_carrier "$ns_b" dm0p down
want "the first down" "down down" "$(carrier "$ns_a" dm0) $(carrier "$ns_b" dm0p)"
$ipa link set dm0 up
wait_for 60 has_carrier "$ns_b" dm0p up
$ipb link set dm0p down
wait_for 60 has_carrier "$ns_a" dm0 down
want "the second down" "down down" "$(carrier "$ns_a" dm0) $(carrier "$ns_b" dm0p)"
$ipb link set dm0p up
wait_for 60 has_carrier "$ns_a" dm0 up
all_ok "there is carrier only while both ends are up"

# --- traffic, names and addresses ------------------------------------------

addresses 2>/dev/null
serve b
passes "traffic passes over IPv4" a traffic tcp 10.9.0.2 -c 4
passes "and IPv6" a traffic tcp fd09::2 -c 4
$ipa link set dm0 down
$ipa link set dm0 name other
$ipa link set other up
$ipb link set dm0p address 02:66:77:88:99:aa
# Whatever b sent between the two has told a the old address, which a believes for
# seconds: nobody announces a new one.
$ipa neigh flush dev other
passes "and after a new name and a new address" a traffic tcp 10.9.0.2
$ipa link set other down
$ipa link set other name dm0
$ipa link set dm0 up
addresses 2>/dev/null

saw() {
	local pid

	pid=$(b sniff dm0p -o "$tmp/sniff" -n 3 -t 60 -p raw -d in)
	a inject dm0 proto=raw dmac=02:de:ad:00:00:01 n=3 >/dev/null
	wait_for 90 gone "$pid"
	grep -c "dmac=02:de:ad:00:00:01 .*content=ok" "$tmp/sniff"
}
$ipb link set dm0p promisc on
is "a promiscuous port gets what is for others" 3 "$(saw)"
$ipb link set dm0p promisc off

# --- MTU -------------------------------------------------------------------

mtu() {
	$ipa link set dm0 mtu "$1" && $ipb link set dm0p mtu "$1"
}

for size in 67 9217; do
	refuses "an MTU of $size is refused" "mtu|invalid|range" \
		ip -n "$ns_a" link set dm0 mtu $size
done
is "and leaves the old one" 1500 "$(link_field "$ns_a" dm0 mtu)"

for size in 1500 4096 9000 9216; do
	want_ok mtu $size
	want_ok a traffic udp 10.9.0.2 -n 32 -s $((size - 28))
	want_ok a traffic udp fd09::2 -n 32 -s $((size - 48))
	want_ok a traffic tcp 10.9.0.2 -n 512k -r
	want_ok a traffic tcp fd09::2 -n 512k -c 2
	want_ok b ping -q -c 2 -i 0.05 -W 20 -M "do" -s $((size - 28)) 10.9.0.1
done
all_ok "frames of up to the MTU pass at 1500, 4096, 9000 and 9216"
refuses "and a datagram beyond it does not leave" "too long" \
	a traffic udp 10.9.0.2 -n 1 -s $((9216 - 27))

want_ok mtu 68
want "MTU" 68 "$(link_field "$ns_a" dm0 mtu)"
want_ok a traffic udp 10.9.0.2 -n 32 -s 40
want_ok a traffic tcp 10.9.0.2 -n 20k
all_ok "an MTU of 68 works"
finish
