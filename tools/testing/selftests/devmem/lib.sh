# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# What the NIC's tests share. A script sources it, says `plan N`, builds the
# topology, takes its N - 1 steps and says `finish`, which takes the last one: the
# kernel log must hold no splat. The exit status is 0, 1, or 4 for skipped.
#
#     netns a                              netns b
#     dm0   10.9.0.1/24  fd09::1/64 <====> dm0p   10.9.0.2/24  fd09::2/64
#
# `a CMD` and `b CMD` (and `c CMD`) run CMD inside. KIND=veth makes the pair of
# another kind, to try a test itself.

KIND=${KIND:-dmnic}
tmp=$(mktemp -d /tmp/selftest.XXXXXX)
script=$(basename "$0")
ns_a=a$$ ns_b=b$$ ns_c=c$$
planned=0 taken=0 failed=0
splat='WARNING:|BUG:|kernel BUG|Oops|Call Trace|RIP:|possible circular|suspicious RCU|ref_tracker:|unregister_netdevice: waiting|refcount_t|general protection|blocked for more'
export LC_ALL=C

# The helpers are in PATH inside the lab's machine; elsewhere BIN says where.
PATH=${BIN:+$BIN:}$PATH:/usr/sbin:/sbin

a() { nsenter --net="/run/netns/$ns_a" -- "$@"; }
b() { nsenter --net="/run/netns/$ns_b" -- "$@"; }
c() { nsenter --net="/run/netns/$ns_c" -- "$@"; }

# --- results ---------------------------------------------------------------

plan() {
	planned=$1
	echo "KTAP version 1"
	echo "1..$planned"
	echo "$script starts" >/dev/kmsg
}

ok() {
	echo "ok $((++taken)) $1"
}

# not_ok DESCRIPTION LINE...: what was seen comes before the point, as it is of that point
not_ok() {
	local description=$1
	shift
	[ $# = 0 ] || printf '%s\n' "$@" | sed '/./!d; s/^/# /'
	echo "not ok $((++taken)) $description"
	failed=$((failed + 1))
}

skip() {
	echo "ok $((++taken)) $1 # SKIP $2"
}

skip_all() {
	echo "KTAP version 1"
	echo "1..0 # SKIP $1"
	planned=0
	exit 4
}

# is DESCRIPTION WANT SEEN [LINE...]
is() {
	if [ "$2" = "$3" ]; then
		ok "$1"
	else
		not_ok "$1" "expected: $2" "seen:     $3" "${@:4}"
	fi
}

# is_not DESCRIPTION UNWANTED SEEN
is_not() {
	if [ "$2" != "$3" ]; then
		ok "$1"
	else
		not_ok "$1" "expected: anything but $2" "seen:     $3"
	fi
}

# within DESCRIPTION LOW HIGH SEEN [LINE...]
within() {
	if [[ $4 =~ ^-?[0-9]+$ ]] && [ "$4" -ge "$2" ] && [ "$4" -le "$3" ]; then
		ok "$1"
	else
		not_ok "$1" "expected: $2 to $3" "seen:     ${4:-nothing}" "${@:5}"
	fi
}

# passes DESCRIPTION CMD...: CMD succeeds
passes() {
	local out what=$1 rc=0

	shift
	out=$("$@" 2>&1) || rc=$?
	if [ "$rc" = 0 ]; then
		ok "$what"
	else
		not_ok "$what" "failed ($rc): $*" "$out"
	fi
}

# refuses DESCRIPTION REGEX CMD...: CMD fails and says something that matches
refuses() {
	local out what=$1 regex=$2

	shift 2
	if out=$("$@" 2>&1); then
		not_ok "$what" "expected: refused" "seen:     success of $*" "$out"
	elif grep -Eiq -- "$regex" <<<"$out"; then
		ok "$what"
	else
		not_ok "$what" "expected: a message like /$regex/" "seen:     $out"
	fi
}

# all_ok DESCRIPTION: closes a group of checks made with `want`
all_ok() {
	if [ -z "$wants" ]; then
		ok "$1"
	else
		not_ok "$1" "$(echo -n "$wants" | head -n 20)"
	fi
	wants=
}
wants=

# want WHAT EXPECTED SEEN: one check of a group
want() {
	[ "$2" = "$3" ] || wants+="$1: expected $2, seen ${3:-nothing}"$'\n'
}

# want_ok CMD...: one command of a group
want_ok() {
	local out rc=0

	out=$("$@" 2>&1) || rc=$?
	[ "$rc" = 0 ] || wants+="failed ($rc): $*: $out"$'\n'
}

# wait_for SECS CMD...: until CMD succeeds
wait_for() {
	local end=$((SECONDS + $1))

	shift
	until "$@" >/dev/null 2>&1; do
		[ $SECONDS -lt $end ] || return 1
		sleep 0.1
	done
}

# ready NETNS DEV: the link is up, and the stack sends there. LOWER_UP says the first
# alone: what is sent between the two is lost.
ready() {
	ip -n "$1" link show "$2" | grep "state UP"
}

# gone PID: it ended, though its new parent may not have noticed
gone() {
	local state

	read -r _ _ state _ 2>/dev/null <"/proc/$1/stat" || return 0
	[ "$state" = Z ]
}

splats() {
	dmesg | tac | sed "/$script starts/q" | tac | grep -E "$splat" | head -n 5
}

cleanup() {
	local ns

	# shellcheck disable=SC2046
	kill $(jobs -p) 2>/dev/null
	for ns in "$ns_a" "$ns_b" "$ns_c"; do
		[ -e "/run/netns/$ns" ] || continue
		# shellcheck disable=SC2046
		kill -9 $(ip netns pids "$ns") 2>/dev/null
		ip netns del "$ns"
	done
	rm -rf "$tmp"
}

finish() {
	cleanup
	is "the kernel log holds no splat" "" "$(splats)"
	exit
}

at_exit() {
	local rc=$?

	[ -d "$tmp" ] && cleanup
	if [ "$taken" != "$planned" ]; then
		echo "# planned $planned steps, took $taken"
		exit 1
	fi
	[ "$rc" = 4 ] && exit 4
	[ "$failed" = 0 ] || exit 1
	exit 0
}
trap at_exit EXIT
trap 'exit 1' INT TERM HUP

# --- topology --------------------------------------------------------------

needs_nic() {
	[ "$KIND" = dmnic ] || return 0
	[ -d /sys/module/dmnic ] || modprobe -q dmnic
	[ -d /sys/module/dmnic ] || skip_all "no dmnic module"
}

needs() {
	local cmd

	for cmd in "$@"; do
		command -v "$cmd" >/dev/null || skip_all "no $cmd"
	done
}

# new_ns NAME [quiet]: quiet ones send nothing of their own accord
new_ns() {
	ip netns add "$1" || exit 1
	ip -n "$1" link set lo up
	if [ "$2" = quiet ]; then
		nsenter --net="/run/netns/$1" sysctl -qw \
			net.ipv6.conf.all.disable_ipv6=1 \
			net.ipv6.conf.default.disable_ipv6=1
	fi
}

# link_add NETNS NAME [ip link arguments]
link_add() {
	local ns=$1 name=$2

	shift 2
	if [ "$KIND" = dmnic ]; then
		ip -n "$ns" link add name "$name" "$@" type dmnic
	else
		ip -n "$ns" link add name "$name" "$@" type "$KIND" peer name "${name}p" "$@"
	fi
}

# topology [quiet] [ip link arguments]
topology() {
	local quiet=

	[ "$1" = quiet ] && quiet=quiet && shift
	needs_nic
	needs traffic inject sniff ring_split ethtool nsenter
	new_ns "$ns_a" "$quiet"
	new_ns "$ns_b" "$quiet"
	link_add "$ns_a" dm0 "$@" || exit 1
	ip -n "$ns_a" link set dm0p netns "$ns_b" || exit 1
	[ -n "$quiet" ] || addresses
	ip -n "$ns_a" link set dm0 up
	ip -n "$ns_b" link set dm0p up
	wait_for 60 ready "$ns_a" dm0
	wait_for 60 ready "$ns_b" dm0p
}

addresses() {
	ip -n "$ns_a" addr add 10.9.0.1/24 dev dm0
	ip -n "$ns_b" addr add 10.9.0.2/24 dev dm0p
	ip -n "$ns_a" addr add fd09::1/64 dev dm0 nodad
	ip -n "$ns_b" addr add fd09::2/64 dev dm0p nodad
}

# quiet_pair: q0 and q0p, both in netns c, where nobody sends of his own accord: each
# frame that is counted there is one of the test's
quiet_pair() {
	new_ns "$ns_c" quiet
	link_add "$ns_c" q0
	ip -n "$ns_c" link set q0 up
	ip -n "$ns_c" link set q0p up
	wait_for 60 ready "$ns_c" q0
	wait_for 60 ready "$ns_c" q0p
}

# toggle NS-VERB DEV FEATURE on|off...: ethtool likes to talk about it
toggle() {
	"$1" ethtool -K "${@:2}" >/dev/null
}

# serve NS-VERB: the traffic server, in the background, its pid in $server
serve() {
	# shellcheck disable=SC2034 # some scripts want to know
	server=$("$1" traffic serve -o "$tmp/serve") || exit 1
}

# word KEY: the value of KEY= in the line on stdin
word() {
	sed -n "s/.*\\b$1=\\([^ ]*\\).*/\\1/p" | tail -n 1
}

link_field() {
	ip -n "$1" -d -o link show "$2" 2>/dev/null | sed -n "s|.* $3 \\([^ ]*\\).*|\\1|p"
}

mac_of() {
	link_field "$1" "$2" link/ether
}

# sniffed NS-VERB DEV CMD...: what CMD made pass there, in $tmp/sniff. $sniff holds
# sniff's options: -n ends it at once after so many frames.
sniffed() {
	local at=$1 dev=$2 pid

	shift 2
	# shellcheck disable=SC2086 # options, one word each
	pid=$("$at" sniff "$dev" -o "$tmp/sniff" $sniff) || exit 1
	"$@" >"$tmp/out" 2>&1 || sed 's/^/# /' "$tmp/out"
	wait_for 90 gone "$pid"
}
sniff="-t 1 -d in"

# sniffed_until REGEX NS-VERB DEV CMD...: the TCP that came in there, in $tmp/sniff,
# until a frame's line matched
sniffed_until() {
	local regex=$1 at=$2 dev=$3 pid

	shift 3
	pid=$("$at" sniff "$dev" -o "$tmp/sniff" -t 200 -d in -p tcp) || exit 1
	"$@"
	wait_for 60 grep -Eq "$regex" "$tmp/sniff"
	kill "$pid" 2>/dev/null
	wait_for 60 gone "$pid"
}

# fields KEY...: these values of each line that was sniffed
fields() {
	awk -v keys="$*" '{
		n = split(keys, key, " ")
		for (i = 1; i <= NF; i++) {
			at = index($i, "=")
			value[substr($i, 1, at - 1)] = substr($i, at + 1)
		}
		for (i = 1; i <= n; i++)
			printf "%s%s", key[i] in value ? value[key[i]] : "-", i < n ? " " : "\n"
		delete value
	}' "$tmp/sniff"
}

# snmp NS-VERB PROTOCOL NAME: a count of the IP stack
snmp() {
	"$1" cat /proc/net/snmp /proc/net/netstat | awk -v proto="$2:" -v name="$3" '
		$1 != proto { next }
		!seen { seen = 1; for (i = 2; i <= NF; i++) if ($i == name) at = i; next }
		at { print $at; exit }
		{ seen = 0 }'
}

# --- statistics ------------------------------------------------------------

declare -A marked moved

# read_stats NS-VERB DEV ARRAY
read_stats() {
	local -n into=$3
	local key value

	# shellcheck disable=SC2034 # it is the caller's array
	while read -r key value; do
		[[ $value =~ ^[0-9]+$ ]] && into[${key%:}]=$value
	done < <("$1" ethtool -S "$2")
}

# before NS-VERB DEV ... then after: fills moved[] with what each count did
before() {
	stats_of=("$1" "$2")
	marked=()
	read_stats "$1" "$2" marked
}

# moved_by [KEY COUNT]...: each KEY moved that much
moved_by() {
	while [ $# != 0 ]; do
		[ "${moved[$1]:-0}" -ge "$2" ] || return
		shift 2
	done
}

# after [KEY COUNT]...: waits for each KEY to move that much, but not for ever
after() {
	local -A now=()
	local key end=$((SECONDS + 60))

	while :; do
		moved=() now=()
		read_stats "${stats_of[@]}" now
		for key in "${!now[@]}"; do
			moved[$key]=$((now[$key] - ${marked[$key]:-0}))
		done
		moved_by "$@" && return
		[ $SECONDS -lt $end ] || return
		sleep 0.05
	done
}

# link_stat NETNS DEV rx|tx NAME: a count of "ip -s link"
link_stat() {
	ip -n "$1" -j -s link show "$2" | grep -o "\"$3\":{[^}]*}" |
		sed "s/.*\"$4\":\([0-9]*\).*/\1/"
}

# queues [WHAT]: the queues whose rx (or tx) packets moved, as "1:8 3:2"
queues() {
	local key out=()

	for key in "${!moved[@]}"; do
		[[ $key =~ ^${1:-rx}([0-9]+)_packets$ ]] || continue
		[ "${moved[$key]}" = 0 ] || out+=("${BASH_REMATCH[1]}:${moved[$key]}")
	done
	printf '%s\n' "${out[@]}" | sort -n | paste -sd ' '
}

# landed COUNT KEY=VALUE...: sends such frames from dm0, and tells on which of
# dm0p's queues they landed: "1:8 3:2", what rules dropped as "drop:8"
landed() {
	local count=$1

	shift
	a inject dm0 at="$ns_b:dm0p" n="$count" "$@"
}
