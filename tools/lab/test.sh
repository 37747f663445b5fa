# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# All tests: the checks of the sources, the library's on this machine, and the
# kernel's in the virtual machine. All speak KTAP; tools/lab/ktap-report counts.

SELFTESTS=tools/testing/selftests/devmem

lab_test() {
	options "--kernel= --debug" "$@"
	need "to run the tests" python3 python3-docutils shellcheck clang-format sparse
	test_all | "$LAB/tools/lab/ktap-report"
}

test_all() {
	# DMA debugging gives up when an allocation of its own fails; what comes later is without it.
	local last=$BUILD/$SELFTESTS/alloc_failure_test
	local host=(static series unit abi sanitized fuzz) guest=() programs=() name
	local -A chosen=()
	printf '# Expect: build\n  # Subtest: build\n'
	vm_prepare
	build_programs "the library and the tests" "$BUILD" all
	printf '  ok 1 modules and programs\nok 1 build\n'
	for name in "$LAB/$SELFTESTS"/*.sh "$BUILD/$SELFTESTS"/*_test; do
		[[ ! -x $name || ${name##*/} == lib.sh || $name == "$last" ]] || guest+=("$name")
	done
	guest+=("$last")

	test_choose "${ARGS[@]:-all}"
	for name in "${host[@]}"; do
		[[ ! ${chosen[$name]:-} ]] || test_suite "$name" "test_$name"
	done
	test_vm
}

# test_choose NAME...: notes what is to run. "host" and "guest" are all of theirs.
test_choose() {
	local name
	for name; do
		case $name in
		all) test_choose host guest ;;
		host) test_choose "${host[@]}" ;;
		guest) test_choose kunit "${guest[@]##*/}" ;;
		*)
			[[ " ${host[*]} kunit ${guest[*]##*/} " == *" $name "* ]] ||
				die "no test $name: there are host (${host[*]}) and guest (kunit ${guest[*]##*/})"
			chosen[$name]=1
			printf '# Expect: %s\n' "$name"
			;;
		esac
	done
}

# test_vm: those chosen of what is to run inside, in one boot.
test_vm() {
	local name each=1200
	[[ ! ${chosen[kunit]:-} ]] || programs+=(kunit)
	for name in "${guest[@]}"; do
		[[ ! ${chosen[${name##*/}]:-} ]] || programs+=("$name")
	done
	((${#programs[@]})) || return 0
	printf '# Expect: %s\n' unload leaks
	[[ ! ${OPT[debug]:-} ]] || each=3600
	OPT[timeout]=$((300 + each * ${#programs[@]}))
	vm "$LAB/$SELFTESTS/qemu/run-tests" "${programs[@]}" </dev/null
}

# test_suite NAME CMD...: CMD prints points; its status is the suite's.
test_suite() {
	local status
	printf '  # Subtest: %s\n' "$1"
	set +e
	(set -e; "${@:2}") | sed --unbuffered 's/^/  /'
	status=${PIPESTATUS[0]}
	set -e
	test_point "$status" "$1"
}

# test_check NAME CMD...: one point, with what CMD printed if it failed.
test_check() {
	local output status
	set +e
	output=$(set -e; "${@:2}" 2>&1)
	status=$?
	set -e
	((status == 0)) || sed 's/^/# /' <<<"$output"
	test_point "$status" "$1"
}

test_point() {
	local word='not ok'
	((TEST_NUMBER += 1))
	(($1)) || word=ok
	printf '%s %d %s\n' "$word" "$TEST_NUMBER" "$2"
}
TEST_NUMBER=0

test_static() {
	cd "$LAB" || exit
	test_check shellcheck shellcheck --external-sources --source-path=SCRIPTDIR --severity=warning lab patches/kernel-tree tools/lab/demo-in-vm \
		"$SELFTESTS"/*.sh "$SELFTESTS/qemu/run-tests" userspace/completion/*.bash .ci/run
	test_check clang-format test_format
	test_check "reStructuredText" test_rst
	test_check sparse test_sparse
}

test_rst() {
	local page
	for page in Documentation/networking/*.rst; do
		rst2html --strict "$page" >/dev/null
	done
}

test_format() {
	find userspace \( -name '*.cc' -o -name '*.h' \) -exec clang-format --dry-run --Werror {} +
}

# A warning anywhere in our files is a failure, each time anew.
test_sparse() {
	local log=$BUILD/log/sparse.log copy=$BUILD/sparse-$KERNEL_ID
	make_modules "$copy" W=1 C=2 KCFLAGS=-Werror >"$log" 2>&1 || { cat "$log" && return 1; }
	! grep -E "^$copy.*: (warning|error):" "$log"
}

test_unit() { test_ctest "$BUILD"; }

# What the shared library promises to programs that were linked with it before.
test_abi() {
	need "to check the library's ABI" abigail-tools binutils
	test_check "the ABI is as in userspace/libdevmem.abi" test_abi_same
	test_check "a C program calls all that is there for C" test_abi_called
}

test_abi_same() {
	local now=$BUILD/libdevmem.abi headers=$LAB/userspace/include/devmem
	abidw --exported-interfaces-only --drop-private-types --headers-dir "$headers" \
		--suppressions "$LAB/userspace/abi.suppressions" --type-id-style hash --no-corpus-path --no-comp-dir-path \
		--no-elf-needed --no-show-locs --no-parameter-names --no-write-default-sizes \
		"$BUILD/userspace/libdevmem.so" | sed "s| path='[^']*/userspace/| path='userspace/|" >"$now"
	abidiff --no-show-locs "$LAB/userspace/libdevmem.abi" "$now" && return
	cat <<-END
		Programs that are linked with the library may be the worse for it. If it is meant to be so:
		  C: a new call goes to the newest node of userspace/libdevmem.map.in that no release has; what
		  has been there stays as it is, unless SOVERSION is raised.
		  C++: raise DEVMEM_VERSION_MINOR in userspace/include/devmem/version.h once after a release.
		  Then: cp ${now#"$LAB/"} userspace/libdevmem.abi
	END
	return 1
}

test_abi_called() {
	local library=$BUILD/userspace/libdevmem.so program=$BUILD/userspace/test/c_interface
	comm -3 <(nm --dynamic --defined-only --format=just-symbols "$library" | sed -n 's/^\(devmem_[a-z_]*\)@@.*/\1/p' | sort) \
		<(nm --dynamic --undefined-only --format=just-symbols "$program" | sed -n 's/^\(devmem_[a-z_]*\)@.*/\1/p' | sort) |
		grep . && return 1
	return 0
}

# Optimizing a little is what sanitizers like, and takes the compiler half the time.
test_sanitized() {
	build_programs "the tests with sanitizers" "$BUILD/sanitized" "userspace/test/all userspace/fuzz/all" \
		-DDEVMEM_SANITIZE=ON "-DCMAKE_CXX_FLAGS_RELWITHDEBINFO=-O1 -g1 -DNDEBUG"
	test_ctest "$BUILD/sanitized"
}

# The unit tests feed the parsers for a moment; clang's libFuzzer knows how to dig.
test_fuzz() {
	local fuzzer folder=$BUILD/fuzz
	need "to fuzz the parsers" clang libclang-rt-14-dev
	build_programs "the fuzzers" "$folder" userspace/fuzz/all -DDEVMEM_SANITIZE=ON \
		-DCMAKE_CXX_COMPILER=clang++ -DCMAKE_CXX_FLAGS=-fsanitize=fuzzer-no-link
	for fuzzer in "$folder"/userspace/fuzz/*_fuzzer; do
		mkdir -p "$folder/corpus/${fuzzer##*/}"
		test_check "${fuzzer##*/}" "$fuzzer" -max_total_time=5 -artifact_prefix="$folder/" \
			"$folder/corpus/${fuzzer##*/}"
	done
}

test_ctest() {
	local status=0 log=$BUILD/log/ctest.log
	rm -f "$1/ctest.xml"
	ctest --test-dir "$1" -L unit --no-tests=error -j "$(nproc)" --output-junit "$1/ctest.xml" >"$log" 2>&1 || status=$?
	if [[ -e $1/ctest.xml ]]; then
		"$LAB/tools/lab/ctest-to-ktap" "$1/ctest.xml"
	else
		sed 's/^/# /' "$log"
	fi
	return "$status"
}
