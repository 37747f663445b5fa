# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# What a byte costs in instructions. The program "bench" moves it in the virtual machine, the meter
# (qemu/meter.c) counts, and tools/lab/bench-report makes a table of it.

BENCH_RECORD=Documentation/networking/devmem-cost
BENCH_HEADLINE='/mtu (1500|9000)$|^frag/1000 '

lab_bench() {
	local kernels=() words=() files=() kernel
	while (($#)); do
		case $1 in
		--kernel) kernels+=("${2:?which kernel?}") && shift ;;
		--kernel=*) kernels+=("${1#*=}") ;;
		*) words+=("$1") ;;
		esac
		shift
	done
	options "--json= --record --cases=" "${words[@]}"
	((${#ARGS[@]} == 0)) || misuse "bench: what is ${ARGS[0]}?"
	need "to report" python3
	((${#kernels[@]})) || kernels=(6.1 6.12)
	for kernel in "${kernels[@]}"; do
		bench_kernel "$kernel" "${OPT[cases]:-.}"
		files+=("$BENCH")
	done
	bench_report "${files[@]}" ${OPT[json]:+--json "${OPT[json]}"} ${OPT[record]:+--record "$LAB/$BENCH_RECORD" --readme "$LAB/README.md"}
}

# bench_report FOLDER... OPTION...
bench_report() {
	"$LAB/tools/lab/bench-report" "$@" --version "qemu=$(qemu-system-x86_64 --version | sed -n 's/^QEMU emulator version //p')" \
		--version "compiler=$(gcc-12 --version | head -n 1)" \
		--version "tree=$(git -C "$LAB" describe --always --dirty 2>/dev/null || echo unknown)"
}

# bench_kernel K CASES: measures those whose names match. What came of it is in the folder BENCH.
bench_kernel() {
	BENCH=$BUILD/bench/${1//\//_}
	mkdir -p "$BENCH"
	rm -rf "$BENCH/out" "$BENCH/counts"
	OPT[kernel]=$1
	vm_prepare_kernel
	build_programs "the bench" "$BUILD" bench
	bench_meter
	bench_cases "$2"
	(
		OPT[share]=$BENCH OPT[timeout]=3600
		METER=$BUILD/qemu/meter.so,symbols=$BENCH/out/symbols,output=$BENCH/counts
		vm bench /out "${CASES[@]}" </dev/null >"$BENCH/cases"
	)
	printf '%s\n' "$1" "$KERNEL_RELEASE" >"$BENCH/kernel"
}

bench_meter() {
	local source=$LAB/$VM_SOURCE/meter.c meter=$BUILD/qemu/meter.so
	mkdir -p "$BUILD/qemu"
	[[ $meter -nt $source ]] || gcc-12 -O2 -Wall -Wextra -Wno-unused-parameter -shared -fPIC -fvisibility=hidden -o "$meter" "$source"
}

# bench_cases PATTERN: sets CASES.
bench_cases() {
	mapfile -t CASES < <("$BUILD/$SELFTESTS/bench" | grep -E "$1" || :)
	((${#CASES[@]})) || die "bench: no case matches $1"
}

# The headline's cases on 6.1, which must not cost more than they did when it was recorded.
test_bench() {
	bench_kernel 6.1 "$BENCH_HEADLINE"
	"$LAB/tools/lab/bench-report" "$BENCH" --compare "$LAB/$BENCH_RECORD.json"
}
