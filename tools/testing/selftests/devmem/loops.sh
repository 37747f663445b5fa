#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The examples of event loops, as a person would run them: several files come in at once, and each is
# whole. What loops do otherwise, sending too, is loops_test's.
# shellcheck disable=SC2317 # functions called by name
. "$(dirname "$0")/lib.sh"

connections=5
plan 6
topology
needs socat example_epoll example_coroutine
[ -c /dev/accelmem ] || skip_all "no accelmem module"
b ring_split dm0p on >/dev/null
for ((i = 0; i < connections; i++)); do
	head -c $((600011 + 50000 * i)) /dev/urandom >"$tmp/in$i"
done

listens() {
	b ss -ltnH "sport = :5201" | grep -q .
}

# A connection is accepted, and numbered, in the order of the calls of this. They stay until the last
# is there, as no one is read before.
sends() {
	wait_for 60 connected "$1"
	a socat -u "FILE:$tmp/in$1" TCP:10.9.0.2:5201 &
	senders+=($!)
}

connected() {
	[ "$(b ss -tnH state established state close-wait "sport = :5201" | wc -l)" = "$1" ]
}

# receives EXAMPLE: by it, all at once
receives() {
	local far i rc=0

	if ! command -v "example_$1" >/dev/null; then
		skip "example $1: $connections files at once, exact" "it is not built"
		return
	fi
	mkdir -p "$tmp/out"
	b timeout 180 "example_$1" dm0p 5201 $connections "$tmp/out" >"$tmp/err" 2>&1 </dev/null &
	far=$!
	wait_for 60 listens
	senders=()
	for ((i = 0; i < connections; i++)); do
		sends "$i"
	done
	wait "$far" || rc=$?
	want "status" 0 "$rc"
	for ((i = 0; i < connections; i++)); do
		wait "${senders[i]}" || wants+="sender $i failed"$'\n'
		cmp -s "$tmp/in$i" "$tmp/out/$i" || wants+="file $i differs"$'\n'
	done
	[ -z "$wants" ] || wants+=$(cat "$tmp/err")
	all_ok "example $1: $connections files at once, exact"
	rm -r "$tmp/out"
}

receives epoll
receives coroutine
receives uring
receives asio

# --- afterwards ------------------------------------------------------------

memory_free() {
	local cpu

	for ((cpu = 0; cpu < $(nproc); cpu++)); do
		a taskset -c "$cpu" ping -c 1 -W 1 127.0.0.1
	done
	[ "$(cat /sys/module/accelmem/refcnt)" = 0 ]
}
passes "no memory is left in use" wait_for 30 memory_free

finish
