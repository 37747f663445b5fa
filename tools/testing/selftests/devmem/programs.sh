#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# ncdevmem and the library's examples, in C++ and in Python, as a person would use them: what goes in
# at one end comes out at the other. Sending is skipped where the kernel can't; the rest is not.
# shellcheck disable=SC2317 # functions called by name
. "$(dirname "$0")/lib.sh"

plan 32
topology
needs devmem ncdevmem example_gather example_receiver example_recv example_send ping python3 socat taskset
[ -c /dev/accelmem ] || skip_all "no accelmem module"
PATH=$PATH:${DEVMEM_TREE:-.}/userspace/examples:${DEVMEM_BUILD:-build}/userspace/test
export LD_LIBRARY_PATH=${DEVMEM_BUILD:-build}/userspace PYTHONDONTWRITEBYTECODE=1
b ring_split dm0p on >/dev/null
head -c 3000017 /dev/urandom >"$tmp/in"

# --- the far end -----------------------------------------------------------

listens() {
	b ss -ltnH "sport = :5201" | grep -q .
}

# far CMD...: waits for a connection there; what it writes is in $tmp/out
far() {
	rm -f "$tmp/out" "$tmp/err"
	b timeout 300 "$@" >"$tmp/out" 2>"$tmp/err" </dev/null &
	far=$!
	wait_for 120 listens
}

# arrives DESCRIPTION CMD...: CMD sends $tmp/in, and both ends are content
arrives() {
	local what=$1 near=0 rc=0

	shift
	"$@" <"$tmp/in" >"$tmp/near" 2>&1 || near=$?
	wait "$far" || rc=$?
	want "status here" 0 "$near"
	want "status there" 0 "$rc"
	cmp -s "$tmp/in" "$tmp/out" || wants+="what arrived differs from what was sent"$'\n'
	[ -z "$wants" ] || wants+=$(cat "$tmp/near" "$tmp/err")
	all_ok "$what"
}

plain() { a socat -u STDIN "TCP:$1:5201"; }
from_plain() { plain 10.9.0.2; }
device() { a ncdevmem -f dm0 -m accelmem "$@"; }

# --- receiving -------------------------------------------------------------

passes "ncdevmem says that the interface can receive" a ncdevmem -f dm0 -m accelmem

far example_gather dm0p 5201
arrives "example gather: what a plain socket sends, exact" from_plain

far example_recv dm0p 5201
from_plain <"$tmp/in"
wait "$far"
is "example recv: as many bytes as were sent" 3000017 "$(awk '{ sum += $1 } END { print sum }' "$tmp/out")"
is_not "and some of them in the dmabuf" 0 "$(grep -c "in dmabuf" "$tmp/out")"

far recv.py dm0p 5201
arrives "example recv.py: what a plain socket sends, exact" from_plain
is_not "and some of it landed in the dmabuf" "" "$(grep -E '^[1-9][0-9]* bytes into the dmabuf' "$tmp/err")"

if [ -c /dev/udmabuf ]; then
	far recv.py dm0p 5201 udmabuf
	arrives "example recv.py, into udmabuf: exact" from_plain
else
	skip "example recv.py, into udmabuf: exact" "no /dev/udmabuf"
fi

far example_receiver dm0p 5201
from_plain <"$tmp/in"
wait "$far"
is "README.md's receiver: as many bytes as were sent, though it keeps frags" "3000017 bytes" "$(cut -d ';' -f 1 "$tmp/out")"

far ncdevmem -f dm0p -m accelmem -s 10.9.0.2 -l
arrives "ncdevmem -l: what a plain socket sends, exact" from_plain
is_not "and it landed in the dmabuf" "" "$(grep -E ' [1-9][0-9]* into the dmabuf' "$tmp/err")"

passes "each call of the C interface, on this NIC" b c_interface dm0p

# --- kill -9 ---------------------------------------------------------------

nic() {
	for what in g l x n k; do b ethtool "-$what" dm0p; done
}

was=$(nic)
nsenter --net="/run/netns/$ns_b" -- ncdevmem -f dm0p -m accelmem -s 10.9.0.2 -l >"$tmp/out" 2>&1 &
victim=$! # no function in between, which would be a shell
wait_for 120 listens
passes "devmem restore leaves alone what is in use" b devmem restore
is_not "ncdevmem needs the NIC otherwise" "$was" "$(nic)"
kill -9 "$victim"
wait "$victim" 2>/dev/null
b devmem restore >"$tmp/out" 2>&1
is "devmem restore after kill -9: the NIC is as before" "$was" "$(nic)" "$(cat "$tmp/out")"

# --- can this kernel send? -------------------------------------------------

refuses "ncdevmem -v needs -l" "need -l" device -s 10.9.0.2 -v 7
refuses "an interface that is not there: it says which" "interface dm7" a ncdevmem -f dm7 -s 10.9.0.2
said=$(device -s 10.9.0.2 2>&1)
if [[ $said == *"bind-tx"* ]]; then
	is_not "a kernel that can't send: what it lacks" "${said#*This kernel cannot send}" "$said"
	why="this kernel does not send device memory"
else
	refuses "nobody listens: it says so" "connect to 10.9.0.2 port 5201: Connection refused" device -s 10.9.0.2
	why=
fi

# sending DESCRIPTION "FAR CMD" CMD...
sending() {
	if [ "$why" ]; then
		skip "$1" "$why"
		return
	fi
	# shellcheck disable=SC2086 # a command
	far $2
	arrives "$1" "${@:3}"
}

# --- sending ---------------------------------------------------------------

there="socat -u TCP-LISTEN:5201,reuseaddr STDOUT"
sending "example send to a plain socket: exact" "$there" a example_send dm0 10.9.0.2 5201
sending "example send to example gather, device to device: exact" "example_gather dm0p 5201" \
	a example_send dm0 10.9.0.2 5201
sending "the same by IPv6" "example_gather dm0p 5201" a example_send dm0 fd09::2 5201
sending "example send.py to example recv.py, device to device: exact" "recv.py dm0p 5201" \
	a send.py dm0 10.9.0.2 5201
sending "ncdevmem to a plain socket: exact" "$there" device -s 10.9.0.2
before a dm0
sending "ncdevmem to ncdevmem, device to device: exact" "ncdevmem -f dm0p -m accelmem -s 10.9.0.2 -l" \
	device -s 10.9.0.2
after
if [ "$why" ]; then
	skip "and the NIC fetched it from device memory" "$why"
else
	within "and the NIC fetched it from device memory" 3000017 6000000 "${moved[tx_niov_bytes]}"
fi
sending "the same by IPv6" "ncdevmem -f dm0p -m accelmem -s fd09::2 -l" device -s fd09::2
sending "in pieces of 3 bytes: exact" "$there" device -s 10.9.0.2 -z 3
sending "memory of 16 KiB, used again and again: exact" "$there" device -s 10.9.0.2 --size 16K
sending "with an own address: exact" "$there" device -s 10.9.0.2 -c 10.9.0.1
if [ -c /dev/udmabuf ]; then
	sending "from udmabuf: exact" "$there" a ncdevmem -f dm0 -s 10.9.0.2 --size 4M
else
	skip "from udmabuf: exact" "no /dev/udmabuf"
fi

if [ "$why" ]; then
	skip "the other end resets: it fails and says so" "$why"
else
	# Closed with bytes unread, a socket says reset.
	far socat -u TCP-LISTEN:5201,reuseaddr,linger=0,readbytes=1000 STDOUT
	sent() { device -s 10.9.0.2 <"$tmp/in"; }
	refuses "the other end resets: it fails and says so" "reset|broken pipe" sent
	wait "$far"
fi

# --- afterwards ------------------------------------------------------------

# A CPU frees the skbs that others are done with when its stack runs next.
memory_free() {
	local cpu

	for ((cpu = 0; cpu < $(nproc); cpu++)); do
		a taskset -c "$cpu" ping -c 1 -W 1 127.0.0.1
	done
	[ "$(cat /sys/module/accelmem/refcnt)" = 0 ]
}
passes "no memory is left in use" wait_for 60 memory_free

finish
