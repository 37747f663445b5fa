#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# devmem-demo, as `lab demo` runs it, with less to send: it fails by itself if a byte is wrong, did
# not go by device memory, or memory is outstanding.
# shellcheck disable=SC2317 # functions called by name
. "$(dirname "$0")/lib.sh"

plan 4
topology
needs devmem-demo
[ -c /dev/accelmem ] || skip_all "no accelmem module"

demo() {
	a devmem-demo --interface dm0 --address 10.9.0.1 --netns "$ns_b" "$@"
}

niov_bytes() {
	b ethtool -S dm0p | sed -n 's/^ *tx_niov_bytes: *//p'
}

# Or a CPU that has nothing to do keeps skbs for as long, and their niovs show as outstanding.
kept=$(sysctl -n net.core.skb_defer_max)
sysctl -q net.core.skb_defer_max=0

both="from device memory to device memory, 16 MiB"
counted="the NIC fetched as much from there, at least"
said=$(demo --from-device dm0p --mebibytes 16 2>&1)
case $? in
0)
	ok "$both"
	within "$counted" $((16 << 20)) $((32 << 20)) "$(niov_bytes)"
	;;
77)
	skip "$both" "${said#skipped: }"
	skip "$counted" "${said#skipped: }"
	;;
*)
	not_ok "$both" "$said"
	not_ok "$counted" "$(niov_bytes)"
	;;
esac
passes "from an ordinary socket to device memory, 16 MiB" demo --mebibytes 16

sysctl -q net.core.skb_defer_max="$kept"
finish
