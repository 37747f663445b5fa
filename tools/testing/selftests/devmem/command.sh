#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# devmem recv, send and bench, by what they do: the bytes that arrive, the figures that they print,
# the NIC that they leave behind. Sending is skipped where the kernel can't; the rest is not.
# shellcheck disable=SC2317 # functions called by name
. "$(dirname "$0")/lib.sh"

plan 48
topology
needs devmem ping python3 socat taskset
[ -c /dev/accelmem ] || skip_all "no accelmem module"
b ring_split dm0p on >/dev/null
size=3000017
head -c $size /dev/urandom >"$tmp/in"

nic() {
	for what in g l x n k; do b ethtool "-$what" dm0p; done
}
was=$(nic)

# json EXPRESSION: of the object d in $tmp/json
json() {
	python3 -c 'import json, sys; d = json.load(open(sys.argv[1])); print(eval("(" + sys.argv[2] + ")"))' "$tmp/json" "$1"
}

# --- one end and the other ---------------------------------------------------

listens() { b ss -ltnH "sport = :5201" | grep -q .; }
connected() { b ss -tnH state established "sport = :5201" | grep -q .; }

# there CMD...: in the background in b, its pid in $there; what it writes is in $tmp/out
there() {
	rm -f "$tmp/out" "$tmp/err"
	nsenter --net="/run/netns/$ns_b" -- "$@" >"$tmp/out" 2>"$tmp/err" </dev/null &
	there=$! # no function in between, which would be a shell
	wait_for 120 listens
}

# over: waits for its end; $rc is its status
over() {
	rc=0
	wait_for 300 gone "$there" || kill -9 "$there"
	wait "$there" 2>/dev/null || rc=$?
}

# arrives DESCRIPTION CMD...: CMD sends $tmp/in, and both ends are content
arrives() {
	local what=$1 near=0 rc

	shift
	"$@" <"$tmp/in" >"$tmp/near" 2>&1 || near=$?
	want "status here" 0 "$near"
	over
	want "status there" 0 $rc
	cmp -s "$tmp/in" "$tmp/out" || wants+="what arrived differs from what was sent"$'\n'
	[ -z "$wants" ] || wants+=$(cat "$tmp/near" "$tmp/err")
	all_ok "$what"
}

plain() { nsenter --net="/run/netns/$ns_a" -- timeout 300 socat -u STDIN "TCP:$1:5201"; }
from_v4() { plain 10.9.0.2; }
from_v6() { plain "[fd09::2]"; }

# talks PYTHON: sends b some bytes, and does that with the socket s
talks() {
	nsenter --net="/run/netns/$ns_a" -- python3 -c '
import os, socket, struct, sys, time
s = socket.create_connection(("10.9.0.2", 5201))
s.sendall(bytes(100000))
exec(sys.argv[1])' "$1" 2>"$tmp/talk" &
	talker=$!
}
stays='time.sleep(600)'
resets='s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)); s.close()'

quiet() {
	kill -9 "$talker" 2>/dev/null
	wait "$talker" 2>/dev/null
}

# --- receiving -------------------------------------------------------------

memories=accelmem
[ -c /dev/udmabuf ] && memories+=" udmabuf"
for memory in accelmem udmabuf; do
	for way in v4 v6; do
		what="recv into $memory, from a plain socket by $way: exact"
		[[ $memories == *$memory* ]] || { skip "$what" "no /dev/$memory" && continue; }
		there devmem recv dm0p -m $memory --size 16M
		arrives "$what" from_$way
	done
done

there devmem recv dm0p 5201 -m accelmem --size 16M --output "$tmp/file" --json
from_v4 <"$tmp/in"
over
is "with --output and --json: it succeeds" 0 $rc "$(cat "$tmp/err")"
is "the file is exact" "" "$(cmp "$tmp/in" "$tmp/file" 2>&1)"
cp "$tmp/out" "$tmp/json"
is "the JSON says what, by where and how it ended" "dm0p 5201 accelmem 16777216 [3] $size complete None 0" \
	"$(json 'd["interface"], d["port"], d["memory"], d["memory_bytes"], d["queues"], d["bytes"], d["ended"],
		d["error"], d["tokens_outstanding"]' | tr -d "(),'")"
is "its figures agree with one another" True "$(json 'd["device_bytes"] > d["bytes"] / 2 and d["frags"] > 0 and
	d["calls"] > 0 and d["seconds"] > 0 and abs(d["device_share"] - d["device_bytes"] / d["bytes"]) < 1e-9 and
	d["no_memory"] >= 0 and d["dropped"] >= 0')" "$(cat "$tmp/json")"

there devmem recv dm0p -m accelmem --size 16M --discard
from_v4 <"$tmp/in"
over
want "status" 0 $rc
want "output" 0 "$(stat -c %s "$tmp/out")"
grep -q "^received $size bytes" "$tmp/err" || wants+=$(cat "$tmp/err")
all_ok "with --discard nothing is written, and the summary says what came"

there devmem recv dm0p -m accelmem --size 16M -q 2
arrives "into two queues: exact" from_v4

there bash -c 'devmem recv dm0p -m accelmem --size 1M | { sleep 1; cat; }'
arrives "to a reader that is slow, with little memory: exact" from_v4

there devmem recv dm0p -m accelmem --size 16M
talks "$resets"
over
want "status" 3 $rc
grep -q "reset by peer" "$tmp/err" || wants+=$(cat "$tmp/err")
quiet
all_ok "the other end resets: it fails and says so"

there devmem recv dm0p -m accelmem --size 16M --output /dev/full
talks "$stays"
over
want "status" 3 $rc
grep -q "No space left" "$tmp/err" || wants+=$(cat "$tmp/err")
quiet
all_ok "a disk that is full: it fails and says so"

there script -qfc "devmem recv dm0p -m accelmem --size 16M --discard" "$tmp/tty"
talks "$stays"
passes "a terminal shows how far it is" wait_for 120 grep -Eq "MiB, .* in device memory, [0-9]+ tokens out" "$tmp/tty"
quiet
over
is "all of them left the NIC as it was" "$was" "$(nic)"

# --- signals ---------------------------------------------------------------

# ended DESCRIPTION STATUS SIGNAL: recv ends so, and the NIC is as before
ended() {
	kill "-$3" "$there"
	over
	want "status" "$2" $rc
	grep -q "interrupted by SIG$3" "$tmp/err" || wants+=$(cat "$tmp/err")
	want "NIC" "$was" "$(nic)"
	quiet
	all_ok "$1"
}
all_written() { [ "$(stat -c %s "$tmp/out")" = 100000 ]; }
flows() { [ "$(link_stat "$ns_b" dm0p rx bytes)" -gt $((start + 1000000)) ]; }
recv="env --default-signal=INT,HUP devmem recv dm0p -m accelmem --size 16M"

# shellcheck disable=SC2086 # a command
{
	there $recv
	is_not "recv needs the NIC otherwise" "$was" "$(nic)"
	ended "SIGHUP while nobody has come" 129 HUP

	there $recv
	talks "$stays"
	wait_for 120 all_written
	ended "SIGINT while the other end is silent" 130 INT
	is "the summary says what had come" 100000 "$(sed -n 's/^received \([0-9]*\) bytes.*/\1/p' "$tmp/err")"

	there $recv --discard
	start=$(link_stat "$ns_b" dm0p rx bytes)
	talks 'while True: s.sendall(bytes(100000))'
	wait_for 120 flows
	ended "SIGTERM in the flow of data" 143 TERM
}

mkfifo "$tmp/fifo"
# Keeps the pipe open, and reads nothing of it.
python3 -c '
import array, fcntl, sys, termios, time
pipe = open(sys.argv[1], "rb")
waiting = array.array("i", [0])
while waiting[0] < 32768:
    fcntl.ioctl(pipe, termios.FIONREAD, waiting)
    time.sleep(0.05)
open(sys.argv[2], "w")
time.sleep(600)' "$tmp/fifo" "$tmp/full" &
holder=$!
there devmem recv dm0p -m accelmem --size 16M --output "$tmp/fifo"
talks 'while True: s.sendall(bytes(100000))'
wait_for 120 test -e "$tmp/full"
ended "SIGTERM while nobody reads the output" 143 TERM
kill $holder
wait $holder 2>/dev/null

there nohup devmem recv dm0p -m accelmem --size 16M
kill -HUP "$there"
arrives "SIGHUP is ignored if it was" from_v4

# --- kill -9 ---------------------------------------------------------------

there devmem recv dm0p -m accelmem --size 16M
talks "$stays"
wait_for 120 test -s "$tmp/out"
kill -9 "$there"
wait "$there" 2>/dev/null
quiet
is_not "kill -9 leaves the NIC as recv needed it" "$was" "$(nic)"
b devmem restore >"$tmp/out" 2>&1
is "devmem restore puts it back" "$was" "$(nic)" "$(cat "$tmp/out")"

# --- sending ---------------------------------------------------------------

send() { nsenter --net="/run/netns/$ns_a" -- timeout 300 devmem send dm0 "$@"; }
said=$(send 10.9.0.2 </dev/null 2>&1)
rc=$?
if [[ $said == *"bind-tx"* ]]; then
	is "a kernel that can't send: it says so" 1 "$rc" "$said"
	why="this kernel does not send device memory"
else
	is "nobody listens: it says so" "3 devmem: connect to 10.9.0.2 port 5201: Connection refused" "$rc $said"
	why=
fi

# sending DESCRIPTION "FAR CMD" CMD...
sending() {
	if [ "$why" ]; then
		skip "$1" "$why"
		return
	fi
	there bash -c "$2"
	arrives "$1" "${@:3}"
}

sink="socat -u TCP6-LISTEN:5201,reuseaddr STDOUT"
for memory in accelmem udmabuf; do
	for way in v4 v6; do
		to=10.9.0.2
		[ $way = v4 ] || to=fd09::2
		what="send from $memory, to a plain socket by $way: exact"
		both="from $memory to $memory by $way: exact"
		if [[ $memories != *$memory* ]]; then
			skip "$what" "no /dev/$memory"
			skip "$both" "no /dev/$memory"
			continue
		fi
		sending "$what" "$sink" send $to -m $memory --size 4M
		sending "$both" "devmem recv dm0p -m $memory --size 16M" send $to -m $memory --size 4M
	done
done
sending "memory of 16 KiB, used again and again: exact" "$sink" send 10.9.0.2 -m accelmem --size 16K
sending "to a reader that is slow: exact" "$sink | { sleep 1; cat; }" \
	send 10.9.0.2 -m accelmem --size 64K

# A peer that takes a little, and resets.
taker='
import socket, struct
s = socket.create_server(("10.9.0.2", 5201)).accept()[0]
s.recv(1000)
s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))'
if [ "$why" ]; then
	for what in "with --json: it succeeds" "the JSON says what, where to and how it ended" \
		"the other end resets: it fails and says so" "SIGTERM while the other end reads nothing"; do
		skip "$what" "$why"
	done
else
	there socat -u TCP-LISTEN:5201,reuseaddr STDOUT
	send 10.9.0.2 -m accelmem --size 4M --input "$tmp/in" --json >"$tmp/json"
	want "status" 0 $?
	over
	want "status there" 0 $rc
	want "bytes" "" "$(cmp "$tmp/in" "$tmp/out" 2>&1)"
	all_ok "with --input and --json: exact"
	is "the JSON says what, where to and how it ended" "dm0 10.9.0.2 5201 accelmem 4194304 $size 0 0 complete None" \
		"$(json 'd["interface"], d["address"], d["port"], d["memory"], d["memory_bytes"], d["bytes"],
			d["sends_outstanding"], d["sends_copied"], d["ended"], d["error"]' | tr -d "(),'")"

	there python3 -c "$taker"
	send 10.9.0.2 -m accelmem --size 4M <"$tmp/in" 2>"$tmp/near"
	want "status" 3 $?
	grep -Eiq "reset by peer|broken pipe" "$tmp/near" || wants+=$(cat "$tmp/near")
	over
	all_ok "the other end resets: it fails and says so"

	# What is on its way when a signal comes must not look like all of it.
	there socat -u TCP-LISTEN:5201,reuseaddr "SYSTEM:sleep 600"
	nsenter --net="/run/netns/$ns_a" -- devmem send dm0 10.9.0.2 -m accelmem --size 4M \
		--input /dev/zero >"$tmp/near" 2>&1 &
	near=$!
	wait_for 120 connected
	kill $near
	wait $near
	want "status" 143 $?
	grep -q "interrupted by SIGTERM" "$tmp/near" || wants+=$(cat "$tmp/near")
	wait_for 120 eval '! connected' || wants+="the connection is still there"$'\n'
	kill "$there"
	all_ok "SIGTERM while the other end reads nothing: the connection is reset"
fi

# --- measuring -------------------------------------------------------------

there devmem bench dm0p -m accelmem --size 16M -n 2 --json
a timeout 300 devmem bench dm0 10.9.0.2 -m accelmem --size 4M -n 2 --bytes 2M --json >"$tmp/json" 2>"$tmp/near"
rc=$?
facts='d["direction"], d["connections"], [(r.get("bytes"), r.get("device_bytes")) for r in d["rounds"]]'
if [ "$why" ]; then
	is "bench sends, and says what it can't" "1 send 2 [None None 2097152 0]" \
		"$rc $(json "$facts" | tr -d "(),'")" "$(cat "$tmp/near")"
else
	is "bench sends by device memory and without" "0 send 2 [2097152 2097152 2097152 0]" \
		"$rc $(json "$facts" | tr -d "(),'")" "$(cat "$tmp/near")"
fi
over
is "bench receives, and is done when its peer is" 0 $rc "$(cat "$tmp/err")"
cp "$tmp/out" "$tmp/json"
is "as many bytes in either round" "receive 2 2097152 2097152 0" \
	"$(json 'd["direction"], d["connections"], *[r["bytes"] for r in d["rounds"]],
		d["rounds"][1]["device_bytes"]' | tr -d "(),'")"
is "by device memory and without, in times that were taken" True \
	"$(json 'd["rounds"][0]["device_bytes"] > 2**20 and all(r["seconds"] > 0 for r in d["rounds"])')" "$(cat "$tmp/json")"

# --- wrong usage -----------------------------------------------------------

# says STATUS REGEX ARG...: one of a group; there is nobody at the other end, nor need be
says() {
	local rc=0

	timeout 300 nsenter --net="/run/netns/$ns_b" -- devmem "${@:3}" >"$tmp/near" 2>&1 </dev/null || rc=$?
	want "status of ${*:3}" "$1" "$rc"
	grep -Eiq -- "$2" "$tmp/near" || wants+="${*:3}: expected a message like /$2/, seen $(cat "$tmp/near")"$'\n'
}

says 2 "INTERFACE is required" recv
for port in 0 65536 http -1; do
	says 2 "PORT|following argument" recv dm0p $port
done
for bytes in 0 0k -1 -1b " -1" +1 5X M 1.5M 0x10 "" 18446744073709551616 16E 99999999999999G; do
	for verb in "recv dm0p --size" "send dm0p 10.9.0.1 --size" "bench dm0p --size" "bench dm0p 10.9.0.1 --bytes"; do
		# shellcheck disable=SC2086 # words
		says 2 "--(size|bytes): " $verb="$bytes"
	done
done
for seconds in -1 0 nan inf 1s 1e9; do
	says 2 "--seconds: " bench dm0p 10.9.0.1 "--seconds=$seconds"
	says 2 "--watch: " status "--watch=$seconds"
done
for count in 0 -1 1.5 nan "" 18446744073709551617; do
	says 2 "--count: " status --watch "--count=$count"
done
says 2 "memory.*gpu" recv dm0p -m gpu
says 2 "queues" recv dm0p --queues 0
says 2 "open /none/file: No such file" recv dm0p --output /none/file
says 2 "open $tmp: Is a directory" recv dm0p --output "$tmp"
says 2 "excludes" recv dm0p --discard --output "$tmp/file"
says 2 "json: the stream goes to standard output too" recv dm0p --json
says 2 "ADDRESS is required" send dm0p
says 2 "'10.9.0.300' is no IPv4 or IPv6 address" send dm0p 10.9.0.300
says 2 "open /none/file: No such file" send dm0p 10.9.0.1 --input /none/file
says 2 "open $tmp: Is a directory" send dm0p 10.9.0.1 --input "$tmp"
says 2 "requires ADDRESS" bench dm0p --seconds 1
says 2 "excludes" bench dm0p 10.9.0.1 --seconds 1 --bytes 1
says 2 "connections" bench dm0p --connections 0
says 0 "devmem 1." --version
says 0 "Exit status" recv --help
says 0 "Exit status" send --help
says 0 "Exit status" bench --help
all_ok "wrong usage: status 2, and it says what is wrong"

ip -n "$ns_b" link add v0 numrxqueues 4 numtxqueues 4 type veth peer name v1
for verb in "recv nonesuch0" "send nonesuch0 10.9.0.1" "bench nonesuch0" "bench nonesuch0 10.9.0.1"; do
	# shellcheck disable=SC2086 # words
	says 3 "nonesuch0: No such device" $verb
done
says 1 "rings of v0|header split|tcp-data-split" recv v0
says 3 "choose queues" recv dm0p --queues 4096
says 3 "allocate accelmem" recv dm0p -m accelmem --size 1000G
there socat -u TCP6-LISTEN:5201,reuseaddr STDOUT
says 3 "bind :: port 5201: Address already in use" recv dm0p -m accelmem
kill "$there"
all_ok "what cannot be done: it says what and why"
is "all of them left the NIC as it was" "$was" "$(nic)"

# --- afterwards ------------------------------------------------------------

# A CPU frees the skbs that others are done with when its stack runs next.
memory_free() {
	local cpu

	for ((cpu = 0; cpu < $(nproc); cpu++)); do
		a taskset -c "$cpu" ping -c 1 -W 1 127.0.0.1
	done
	[ "$(cat /sys/module/accelmem/refcnt)" = 0 ]
}
passes "no memory is left in use" wait_for 120 memory_free

finish
