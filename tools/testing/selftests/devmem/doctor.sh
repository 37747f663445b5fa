#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# devmem doctor and devmem status: their verdicts on a NIC that can, on one that cannot,
# and on one that somebody uses, and that asking changes nothing.
# shellcheck disable=SC2317 # functions called by name
. "$(dirname "$0")/lib.sh"

plan 30
topology
needs devmem ncdevmem python3 setpriv
case $(uname -r) in
6.1.*) sends=ok ;;
*) sends=missing ;;
esac

# --- reading what it says ---------------------------------------------------

# examine NS-VERB ARG...: both outputs, and the status in $rc
examine() {
	local at=$1

	shift
	"$at" devmem doctor "$@" >"$tmp/table" 2>"$tmp/err"
	rc=$?
	"$at" devmem doctor "$@" --json >"$tmp/json" 2>>"$tmp/err"
}

# json FILE EXPRESSION: of the document d
json() {
	python3 -c 'import json, sys; d = json.load(open(sys.argv[1])); print(eval(sys.argv[2]))' "$@"
}

# finding SUBJECT NAME KEY: from the JSON
finding() {
	json "$tmp/json" "[f['$3'] for f in d['findings'] if (f['subject'], f['name']) == ('$1', '$2')][0]"
}

state() { finding "$1" "$2" state; }

# missing: the names of what is needed and missing
missing() {
	json "$tmp/json" "' '.join(f['name'] for f in d['findings'] if f['state'] == 'missing' and f['needed'] != 'extra')"
}

# remedied: a remedy follows each row that shouts
remedied() {
	awk '$1 == "MISSING" { rows++; getline; if ($1 == ">" && NF > 2) remedies++ }
		END { print rows + 0 == remedies + 0 ? "each" : rows " rows, " remedies " remedies" }' "$tmp/table"
}

# settings NS-VERB DEV: what there is to change. A restarted queue has another page pool.
settings() {
	local option

	for option in -g -l -k -x -n -c -a; do
		"$1" ethtool $option "$2" 2>&1
	done
	"$1" ring_split "$2"
	"$1" ring_split "$2" thresh
	"$1" ip -d link show "$2"
	"$1" devmem status "$2" --json | grep -E '"(id|dmabuf|queue|name)"'
}

# --- a NIC that can ---------------------------------------------------------

want_ok b ring_split dm0p on
toggle b dm0p ntuple on
settings b dm0p >"$tmp/before"
examine b dm0p
settings b dm0p >"$tmp/after"
is "asking changes nothing" "" "$(diff "$tmp/before" "$tmp/after")"
within "and there was something to change" 50 10000 "$(wc -l <"$tmp/before")"

lacks=
[ "$sends" = ok ] || lacks=send
is "nothing is missing but what the kernel has not" "$lacks" "$(missing)"
is "the exit status says so" "$([ -z "$lacks" ]; echo $?)" "$rc"
is "sending: as the kernel has it" "$sends" "$(state kernel send)"
is "each row that shouts has its remedy" each "$(remedied)"
for name in up header-split hds-thresh ntuple rss-table queues free-queues xdp; do
	want $name ok "$(state dm0p $name)"
done
all_ok "each thing that receiving takes is found on the NIC"
if [ "$sends" = ok ]; then
	is "the driver is found to restart queues, and to send" "ok ok" "$(state dm0p queue-api) $(state dm0p netmem-tx)"
	is "larger niovs are possible" ok "$(state kernel rx-page-size)"
else
	is "where the kernel does not tell, nobody guesses" "unknown unknown" \
		"$(state dm0p queue-api) $(state dm0p netmem-tx)"
	is "larger niovs are not possible" missing "$(state kernel rx-page-size)"
fi
is "udmabuf and accelmem are found" "ok ok" "$(state memory udmabuf) $(state memory accelmem)"
want "table" "$(awk '$1 == "MISSING" { print $2 }' "$tmp/table" | xargs)" "$(missing)"
want "verdict" "$(sed -n 's/^ready to //p' "$tmp/table" | xargs)" \
	"$(json "$tmp/json" "' '.join(k for k, v in d['ready'].items() if v)")"
all_ok "the table and the JSON agree"
b devmem doctor dm0p --for receive >"$tmp/table"
is "for receiving alone, nothing is missing" "0 ready to receive" "$? $(tail -n 1 "$tmp/table")"
examine b
if [ "$sends" = ok ]; then
	want dm0p "can receive; can send" "$(finding nic dm0p seen)"
	want "any nic" "ok ok" "$(state "any nic" receive) $(state "any nic" send)"
else
	want dm0p "may receive, unknown: queue-api; may send, unknown: netmem-tx" "$(finding nic dm0p seen)"
	want "any nic" "unknown unknown" "$(state "any nic" receive) $(state "any nic" send)"
fi
all_ok "without a name, there is a line for the NIC"

# --- what is taken away is missed, alone ------------------------------------

# misses NAME REMEDY: of dm0p's
misses() {
	examine b dm0p --for receive
	want "missing" "$1" "$(missing)"
	want "status" 1 "$rc"
	[[ $(finding dm0p "$1" remedy) == *"$2"* ]] || want "remedy" "$2" "$(finding dm0p "$1" remedy)"
}

want_ok b ring_split dm0p off
misses header-split "ethtool -G dm0p tcp-data-split on"
want_ok b ring_split dm0p on
all_ok "header split that is off"
if [ "$(b ring_split dm0p thresh)" = unsupported ]; then
	skip "a threshold" "this kernel has none"
else
	want_ok b ring_split dm0p thresh=100
	misses hds-thresh "hds-thresh 0"
	want_ok b ring_split dm0p thresh=0
	all_ok "a threshold"
fi
toggle b dm0p ntuple off
misses ntuple "ethtool -K dm0p ntuple on"
toggle b dm0p ntuple on
all_ok "flow rules that are off"
want_ok b ethtool -L dm0p rx 1
examine b dm0p --for receive
want "missing" "queues free-queues" "$(missing)"
want_ok b ethtool -L dm0p rx 4
all_ok "a NIC with one queue"
ip -n "$ns_b" link set dm0p down
misses up "ip link set dm0p up"
ip -n "$ns_b" link set dm0p up
ip -n "$ns_b" addr add fd09::2/64 dev dm0p nodad 2>/dev/null
all_ok "a NIC that is down"

# --- without privilege ------------------------------------------------------

plain() { b setpriv --bounding-set=-net_admin --inh-caps=-net_admin "$@"; }
examine plain dm0p --for receive
is "without CAP_NET_ADMIN, that is what is missing" "1 CAP_NET_ADMIN" "$rc $(missing)"
is "and what only it is told is unknown" unknown "$(state dm0p queue-api)"
# Nobody may not look into everybody's folders.
chmod 755 "$tmp"
cp "$(command -v devmem)" "$tmp"
nobody() { b setpriv --reuid=65534 --regid=65534 --clear-groups "$tmp/$1" "${@:2}"; }
examine nobody dm0p
is "nobody may ask too" "1 ok" "$rc $(state dm0p header-split)"

# --- a NIC that cannot ------------------------------------------------------

ip -n "$ns_b" link add v0 type veth peer name v1
ip -n "$ns_b" link set v0 up
examine b v0 --for receive
is "a veth does not split" "1 missing" "$rc $(state v0 header-split)"
[ "$sends" != ok ] || want queue-api missing "$(state v0 queue-api)"
examine b v0
[ "$sends" != ok ] || want netmem-tx missing "$(state v0 netmem-tx)"
want "remedies" each "$(remedied)"
all_ok "and what else it cannot has remedies"

# --- a NIC in use -----------------------------------------------------------

# What status shows of a binding while that is made is not all of it.
made() { grep -q "^listening on" "$tmp/nc"; }
bound() { b devmem status dm0p --json >"$tmp/status" && [ "$(json "$tmp/status" "len(d['bindings'])")" = 1 ]; }
unbound() { b devmem status dm0p --json >"$tmp/status" && [ "$(json "$tmp/status" "len(d['bindings'])")" = 0 ]; }
nsenter --net="/run/netns/$ns_b" ncdevmem -f dm0p -s 10.9.0.2 -l >"$tmp/nc" 2>&1 &
holder=$!
if wait_for 60 made && bound; then
	is "status shows the binding, its queue and its page pool" "dm0p [3] True" "$(json "$tmp/status" \
		"d['bindings'][0]['interface'], d['bindings'][0]['queues'], d['bindings'][0]['inflight'] > 0" | tr -d "(),'")"
	is "and the queue, what it receives into" "$(json "$tmp/status" "d['bindings'][0]['dmabuf']")" \
		"$(json "$tmp/status" "[q['dmabuf'] for q in d['interfaces'][0]['queues'] if (q['type'], q['id']) == ('rx', 3)][0]")"
	examine b dm0p
	is "doctor says who has it" "3 free; taken: 3 by dmabuf" "$(finding dm0p free-queues seen | sed 's/ [0-9]*$//')"
else
	for step in binding queue holder; do
		not_ok "the $step of a NIC in use" "no binding came" "$(cat "$tmp/nc" "$tmp/status")"
	done
fi
kill $holder
wait $holder
wait_for 60 unbound
is "and it goes" "0" "$(json "$tmp/status" "len(d['bindings'])")"

# --- for scripts ------------------------------------------------------------

b devmem status --watch 0.1 --count 3 --json >"$tmp/lines"
is "a live view as JSON has a line each time" "3 3" "$(wc -l <"$tmp/lines") $(python3 -c '
import json, sys
print(sum("interfaces" in json.loads(line) for line in open(sys.argv[1])))' "$tmp/lines")"
b devmem doctor nonesuch0 >"$tmp/out" 2>&1
want "no such interface" 3 $?
b devmem status nonesuch0 >"$tmp/out" 2>&1
want "status of no such interface" 3 $?
b devmem doctor --for eating >"$tmp/out" 2>&1
want "wrong usage" 2 $?
b devmem >"$tmp/out" 2>&1
want "no command" 2 $?
b devmem doctor --help >"$tmp/out" 2>&1
want "help" 0 $?
all_ok "exit statuses are as the man page has them"

finish
