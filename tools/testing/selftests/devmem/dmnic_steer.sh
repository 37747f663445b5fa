#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Steering: n-tuple rules that send a flow to a queue, or nowhere.
# shellcheck disable=SC2317,SC2119,SC2086 # functions called by name, options as words
. "$(dirname "$0")/lib.sh"

plan 36
topology quiet

# Hashing puts everything on queue 0, so a rule's doing shows.
b ethtool -X dm0p weight 1 0 0 0

four="src=10.1.2.3 dst=10.4.5.6 sport=1111 dport=2222"
six="src=fd01::3 dst=fd02::6 sport=1111 dport=2222"

# This ethtool succeeds in words only.
rule() {
	local out

	out=$(b ethtool -N dm0p flow-type "$@" 2>&1)
	[ -z "$out" ] || echo "$out"
	[[ $out != *Cannot* ]]
}

unrule() {
	b ethtool -N dm0p delete "$1"
}

rules() {
	b ethtool -n dm0p 2>/dev/null | awk '/^Total [0-9]+ rules/ { print $2 }'
}

rule_ids() {
	b ethtool -n dm0p 2>/dev/null | sed -n 's/^Filter: //p'
}

no_rules() {
	local id

	for id in $(rule_ids); do
		unrule "$id"
	done
}

lane() {
	landed 4 "$@"
}

# matches "RULE" "FRAME" "OTHER FRAME"...: wants the rule to catch only the first
matches() {
	local rule=$1 frame=$2 other

	want_ok rule $rule action 2 loc 7
	want "$rule against $frame" 2:4 "$(lane $frame)"
	shift 2
	for other; do
		want "$rule against $other" 0:4 "$(lane $other)"
	done
	want_ok unrule 7
	want "$rule when deleted" 0:4 "$(lane $frame)"
}

# --- fields ----------------------------------------------------------------

is "at first there are no rules" "0 0:4" "$(rules) $(lane $four)"

for proto in tcp udp; do
	matches "${proto}4" "$four proto=$proto" "$six proto=$proto"
	matches "${proto}4 src-ip 10.1.2.3" "$four proto=$proto" \
		"$four proto=$proto src=10.1.2.4" "$four proto=icmp"
	matches "${proto}4 dst-ip 10.4.5.6" "$four proto=$proto" \
		"$four proto=$proto dst=10.1.2.3"
	matches "${proto}4 src-port 1111" "$four proto=$proto" \
		"$four proto=$proto sport=2222 dport=1111"
	matches "${proto}4 dst-port 2222" "$four proto=$proto" \
		"$four proto=$proto dport=2223"
done
all_ok "each IPv4 field is matched by itself"
for proto in tcp udp; do
	matches "${proto}6" "$six proto=$proto" "$four proto=$proto"
	matches "${proto}6 src-ip fd01::3" "$six proto=$proto" \
		"$six proto=$proto src=fd01::4"
	matches "${proto}6 dst-ip fd02::6" "$six proto=$proto" \
		"$six proto=$proto dst=fd02:0:0:1::6"
	matches "${proto}6 src-port 1111" "$six proto=$proto" \
		"$six proto=$proto sport=1112"
	matches "${proto}6 dst-port 2222" "$six proto=$proto" \
		"$six proto=$proto dport=2223"
done
all_ok "so is each IPv6 field"
matches "tcp4 src-ip 10.1.2.3 dst-ip 10.4.5.6 src-port 1111 dst-port 2222" "$four" \
	"$four src=10.1.2.2" "$four dst=10.4.5.7" "$four sport=1" \
	"$four dport=1" "$four proto=udp"
matches "udp6 src-ip fd01::3 dst-ip fd02::6 src-port 1111 dst-port 2222" \
	"$six proto=udp" "$six proto=udp src=fd01::2" "$six proto=udp dst=fd02::7" \
	"$six proto=udp sport=1" "$six proto=udp dport=1" "$six"
all_ok "all fields must match"
# in ethtool's masks, ones are the bits that don't matter
matches "tcp4 src-ip 10.1.2.0 m 0.0.0.255" "$four" "$four src=10.1.3.3"
matches "tcp4 dst-ip 0.0.0.6 m 255.255.255.0" "$four" "$four dst=10.4.5.7"
matches "tcp4 dst-port 2048 m 255" "$four" "$four dport=1999"
matches "tcp6 src-ip fd01:: m ::ffff" "$six" "$six src=fd01:1::3"
matches "udp4 src-port 1 m 65534" "$four proto=udp" "$four proto=udp sport=1112"
all_ok "masks leave bits out"
matches "tcp4 dst-port 2222" "$four ipopt=40 tcpopt=12"
matches "tcp4 dst-port 2222" "$four vlan=6"
matches "tcp6 dst-port 2222" "$six vlan=6"
matches "udp4 dst-port 2222" "$four proto=udp csum=none"
all_ok "IP options, VLAN tags and absent checksums don't hide the fields"
rule tcp4 dst-port 2222 action 2 loc 7 >/dev/null
is "a later fragment has no ports to match" 0:4 "$(lane $four frag=100)"
unrule 7

# --- order, drops ----------------------------------------------------------

rule tcp4 src-ip 10.1.2.3 action 1 loc 10
rule tcp4 dst-ip 10.4.5.6 action 2 loc 5
is "of two that match, the lower location wins" 2:4 "$(lane $four)"
rule tcp4 dst-port 2222 action 3 loc 20
is "wherever the newest is" 2:4 "$(lane $four)"
unrule 5
is "then the next" 1:4 "$(lane $four)"
unrule 10
is "and the next" 3:4 "$(lane $four)"
rule tcp4 src-port 1111 action -1 loc 3
dropped=$(link_stat $ns_b dm0p rx dropped)
is "a drop rule drops, and counts" drop:4 "$(lane $four)"
is "as ip -s link does" 4 "$(($(link_stat $ns_b dm0p rx dropped) - dropped))"
is "what it matches" 3:4 "$(lane $four sport=1112)"
rule tcp4 src-port 1111 action 1 loc 2
is "unless a rule before it takes the frame" 1:4 "$(lane $four)"

# --- the list --------------------------------------------------------------

is "the list has the rules" "3 2 3 20" "$(rules) $(rule_ids | sort -n | xargs)"
no_rules
is "an emptied one has none" "0 0:4" "$(rules) $(lane $four)"
rule tcp4 src-ip 10.1.2.0 m 0.0.0.255 dst-port 2222 action 2 loc 9
listed=$(b ethtool -n dm0p)
for line in "Filter: 9" "Rule Type: TCP over IPv4" "Src IP addr: 10.1.2.0 mask: 0.0.0.255" \
	"Dest IP addr: 0.0.0.0 mask: 255.255.255.255" "Dest port: 2222 mask: 0x0" \
	"Src port: 0 mask: 0xffff" "Action: Direct to queue 2"; do
	grep -q "$line" <<<"$listed" || want "listed" "$line" "$listed"
done
all_ok "a rule is listed as it was given"
want_ok rule tcp4 src-ip 10.1.2.3 action 1 loc 9
want "the new rule's frames" 1:4 "$(lane $four)"
want "the old rule's" 0:4 "$(lane $four src=10.1.2.9)"
all_ok "a rule replaces the one at its location"
no_rules
added=$(rule udp4 dst-port 2222 action 3 | sed -n 's/Added rule with ID //p')
is "a rule finds a location by itself" "3:4 $added" \
	"$(lane $four proto=udp) $(rule_ids)"
rule tcp4 dst-port 2222 action 1 loc 11 >/dev/null
ip -n "$ns_b" link set dm0p down
ip -n "$ns_b" link set dm0p up
wait_for 60 ready "$ns_a" dm0
b ethtool -G dm0p rx 256
is "rules outlive down, up and new rings" "3:4 1:4" \
	"$(lane $four proto=udp) $(lane $four)"
no_rules

# --- off and on ------------------------------------------------------------

rule tcp4 dst-port 2222 action 3 loc 1
toggle b dm0p ntuple off
is "with ntuple off no rule acts" 0:4 "$(lane $four)"
toggle b dm0p ntuple on
no_rules
rule tcp4 dst-port 2222 action 3 loc 1
is "with ntuple on again they do" 3:4 "$(lane $four)"

# --- what is refused -------------------------------------------------------

refuses "a queue that isn't there is refused" "invalid|range|cannot" \
	rule tcp4 dst-port 1 action 4
refuses "a location out of bounds is refused" "invalid|range|cannot|no space" \
	rule tcp4 dst-port 1 action 1 loc 100000
refuses "deleting what isn't there is refused" "no such|cannot" unrule 77
is "and all that left the one rule" "1 3:4" "$(rules) $(lane $four)"
refuses "taking away a rule's channel is refused" "." b ethtool -L dm0p rx 3
is "and leaves rule and channel" "3:4" "$(lane $four)"
no_rules
passes "which can go when the rule has gone" b ethtool -L dm0p rx 3
b ethtool -L dm0p rx 4

# What a rule can't express must not be taken for a match.
while read -r given frame; do
	if rule ${given//_/ } action 2 loc 7 >/dev/null 2>&1; then
		want "$given, accepted, against $frame" 0:4 "$(lane $four ${frame//_/ })"
	fi
	no_rules
done <<-END
	tcp4_dst-port_2222_tos_8 tos=4
	tcp4_dst-port_2222_vlan_6 vlan=9
	tcp4_dst-port_2222_vlan_6 len=9
	tcp4_dst-port_2222_dst-mac_02:00:00:00:00:01 len=9
	ether_dst_02:00:00:00:00:01 len=9
	ip4_src-ip_10.1.2.4 len=9
	ip4_src-ip_10.1.2.3_l4proto_17 len=9
	sctp4_dst-port_2222 len=9
END
all_ok "what can't be matched is refused, not ignored"

# --- under traffic -----------------------------------------------

addresses 2>/dev/null
serve b
rule tcp4 dst-port 7000 action 2 loc 0
# nothing but TCP: no ARP
ip -n "$ns_a" neigh replace 10.9.0.2 lladdr "$(mac_of "$ns_b" dm0p)" dev dm0 nud permanent
ip -n "$ns_b" neigh replace 10.9.0.1 lladdr "$(mac_of "$ns_a" dm0)" dev dm0p nud permanent
before b dm0p
streams=$(a traffic tcp 10.9.0.2 -c 8 -n 64k)
after
is "a rule catches whole connections" 2 "$(queues | sed 's/:[0-9]*//g')" "$streams"
is "which then share a NAPI" "8 1" "$(word good <<<"$streams") $(word napis <<<"$streams")"
b ethtool -X dm0p default
a traffic tcp 10.9.0.2 -c 8 -t 3 -R 1M >"$tmp/stream" 2>&1 &
stream=$!
while kill -0 $stream 2>/dev/null; do
	want_ok rule tcp4 dst-port 7000 action $((RANDOM % 4)) loc 0
	want_ok rule udp4 dst-port 7000 action 1 loc 1
	want_ok unrule 1
done
wait $stream
want "streams intact" 8 "$(word good <"$tmp/stream")" "$(cat "$tmp/stream")"
all_ok "rules come and go under traffic, which arrives intact"

# --- many: the last, as they are tedious to delete -------------------------

# Adds rules until one is refused, then says how many there are and why.
fill_table() {
	local i=0 out

	while [ $i -lt 1100 ]; do
		out=$(ethtool -N dm0p flow-type tcp4 dst-port $((3000 + i)) \
			action $((i % 4)) 2>&1)
		[[ $out != *Cannot* ]] || break
		i=$((i + 1))
	done
	echo "$i $out"
}
export -f fill_table

no_rules
read -r count words <<<"$(b bash -c fill_table | xargs -0)"
[[ ${words,,} =~ space|full|cannot ]] || want "a full table's words" "no space" "$words"
want "rules" "$count" "$(rules)"
for i in 1 2 3 $((count - 1)); do
	want "rule $i of $count" $((i % 4)):4 "$(lane $four dport=$((3000 + i)))"
done
[ "$count" -ge 64 ] || want "how many" "64 at least" "$count"
all_ok "a table full of rules works ($count)"
finish
