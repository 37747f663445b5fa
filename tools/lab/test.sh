# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# All tests: the checks of the sources, the library's on this machine, and the
# kernel's in the virtual machine. All speak KTAP; tools/lab/ktap-report counts.

SELFTESTS=tools/testing/selftests/devmem

lab_test() {
	options "--kernel= --debug --nic= --iommu" "$@"
	nic_options
	need "to run the tests" python3 python3-docutils shellcheck clang-format sparse
	test_all | "$LAB/tools/lab/ktap-report"
}

test_all() {
	# Of the host's, some are beside the guests, and those that boot machines of their own after them.
	local beside=(static series unit abi install sanitized threads fuzz) after=(nic) host=()
	local guest=() name status=0
	local -A chosen=()
	# What is on record is of 6.1.
	[[ ${OPT[kernel]} != 6.1 || ${OPT[debug]:-} ]] || after+=(bench)
	[[ ! ${OPT[nic]:-} ]] || beside=() after=()
	host=("${beside[@]}" "${after[@]}")
	printf '# Expect: build\n  # Subtest: build\n'
	vm_prepare
	test_inside

	test_choose "${ARGS[@]:-all}"
	test_packages
	test_guests_begin
	test_prepare_host
	printf '  ok 1 modules and programs\nok 1 build\n'
	test_host "${beside[@]}"
	test_guests_end || status=$?
	test_host "${after[@]}"
	return "$status"
}

# Before there are guests, which see this machine's files and don't expect them to change.
test_packages() {
	[[ ! ${chosen[abi]:-} ]] || need "to check the library's ABI" abigail-tools binutils
	[[ ! ${chosen[install]:-} ]] || need "to make the man pages" scdoc
	[[ ! ${chosen[fuzz]:-} ]] || need "to fuzz the parsers" clang libclang-rt-14-dev
}

# What the host's tests need besides. The guests, which have begun, go first: they have time limits.
test_prepare_host() {
	local name
	for name in "${host[@]}"; do
		[[ ${chosen[$name]:-} ]] || continue
		[[ ! ${GUESTS[*]} ]] || renice -n 10 -p "$BASHPID" >/dev/null
		build_programs "the tests" "$BUILD" all
		return
	done
}

# test_host NAME...: those of them that are chosen.
test_host() {
	local name
	for name; do
		[[ ! ${chosen[$name]:-} ]] || test_suite "$name" "test_$name"
	done
}

# test_inside: what can run in the guest.
test_inside() {
	if [[ ${OPT[nic]:-} ]]; then
		guest=("${NIC_TESTS[@]/#/$BUILD/$SELFTESTS/}")
		return
	fi
	guest=(kunit)
	for name in "$LAB/$SELFTESTS"/*.sh "$BUILD/$SELFTESTS"/*_test; do
		[[ ! -x $name || $name == */lib.sh || $name == */e1000e_test ]] || guest+=("$name")
	done
}

# test_choose NAME...: notes what is to run. "host" and "guest" are all of theirs.
test_choose() {
	local name
	for name; do
		case $name in
		all) test_choose host guest ;;
		host) test_choose "${host[@]}" ;;
		guest) test_choose "${guest[@]##*/}" ;;
		*)
			[[ " ${host[*]} ${guest[*]##*/} " == *" $name "* ]] ||
				die "no test $name: there are host (${host[*]}) and guest (${guest[*]##*/})"
			chosen[$name]=1
			printf '# Expect: %s\n' "$name"
			;;
		esac
	done
}

# test_guests_begin: those chosen of what is to run inside, in the background. They wait much, so there
# are two machines. One is for the scripts; with a debug kernel, for what makes DMA debugging give up,
# by having an allocation of its own fail.
test_guests_begin() {
	local name apart='*.sh|*/kunit' one=() other=()
	[[ ! ${OPT[debug]:-} ]] || apart='*/alloc_failure_test'
	GUESTS=()
	GUESTS_SAY=$(mktemp -d -t devmem.XXXXXX)
	trap 'kill "${GUESTS[@]}" 2>/dev/null || :; rm -rf "$GUESTS_SAY"' EXIT
	for name in "${guest[@]}"; do
		[[ ${chosen[${name##*/}]:-} ]] || continue
		if [[ /$name == @($apart) ]]; then one+=("$name"); else other+=("$name"); fi
	done
	test_guest "${one[@]}"
	test_guest "${other[@]}"
}

# test_guest PROGRAM...: a machine that runs these, if there are any.
test_guest() {
	local each=1200 n=${#GUESTS[@]}
	(($#)) || return 0
	printf '# Expect: %s\n' unload leaks
	[[ ! ${OPT[debug]:-} ]] || each=3600
	: >"$GUESTS_SAY/$n"
	(
		OPT[timeout]=$((300 + each * $#)) VM_CONSOLE=console-$n.log
		vm "$LAB/$SELFTESTS/qemu/run-tests" "$@" </dev/null >"$GUESTS_SAY/$n"
	) &
	GUESTS+=($!)
}

# test_guests_end: their points, as they have come and go on to come.
test_guests_end() {
	local n status=0
	for n in "${!GUESTS[@]}"; do
		tail -n +1 -s 0.1 -f --pid="${GUESTS[n]}" "$GUESTS_SAY/$n"
		wait "${GUESTS[n]}" || status=$?
	done
	GUESTS=()
	return "$status"
}

# test_suite NAME CMD...: CMD prints points; its status is the suite's.
test_suite() {
	local status began=$SECONDS
	printf '  # Subtest: %s\n' "$1"
	set +e
	(set -e; "${@:2}") | sed --unbuffered 's/^/  /'
	status=${PIPESTATUS[0]}
	set -e
	printf '  # Took: %d\n' $((SECONDS - began))
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
	test_check shellcheck shellcheck --external-sources --source-path=SCRIPTDIR --severity=warning \
		lab patches/build-matrix patches/kernel-tree tools/lab/demo-in-vm tools/lab/nic-in-vm \
		"$SELFTESTS"/*.sh "$SELFTESTS/qemu/run-tests" userspace/completion/*.bash .ci/run
	test_check clang-format test_format
	test_check "reStructuredText" test_rst
	test_check "README.md's receiver is the example" test_readme
	test_check sparse test_sparse
}

test_readme() {
	diff <(sed -n '/^## A receiver$/,/^## What/s/^    //p' README.md) <(sed '1,/^$/d' userspace/examples/receiver.cc)
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
	local missing
	missing=$(comm -3 <(test_abi_calls "$BUILD/userspace/libdevmem.so" --defined-only) \
		<(test_abi_calls "$BUILD/userspace/test/c_interface" --undefined-only))
	[[ ! $missing ]] || { echo "$missing" && return 1; }
}

# test_abi_calls FILE OPTION: the C interface's names in it, by what nm's option says.
test_abi_calls() {
	nm --dynamic --format=just-symbols "$2" "$1" | sed -n 's/^\(devmem_[a-z_]*\)@.*/\1/p' | sort
}

# What an installed library is to a project of somebody else: userspace/test/install.
test_install() {
	INSTALLED=$BUILD/installed
	rm -rf "$INSTALLED"
	test_check "into a folder, which can be moved" test_install_into
	test_check "CMake finds it, for C and C++, shared and static" test_install_cmake "C;CXX"
	test_check "CMake finds it, for C alone, shared and static" test_install_cmake C
	test_check "pkg-config finds it, for C and C++, shared and static" test_install_pkgconfig
	test_check "CMake and pkg-config find libdevmem-uring" test_install_uring
	test_check "each call of the C interface is in a man page" test_install_pages
}

test_install_into() {
	cmake -S "$LAB" -B "$BUILD"	# scdoc may have come since
	cmake --build "$BUILD" --target man
	cmake --install "$BUILD" --prefix "$INSTALLED/first"
	mv "$INSTALLED/first" "$INSTALLED/usr"
}

# test_install_cmake LANGUAGES
test_install_cmake() {
	local folder=$INSTALLED/cmake-${1/;/-} language kind
	cmake -S "$LAB/userspace/test/install" -B "$folder" -G Ninja -DLANGUAGES="$1" -DCMAKE_PREFIX_PATH="$INSTALLED/usr"
	cmake --build "$folder"
	for language in ${1/;/ }; do
		for kind in shared static; do
			test_install_program "$folder/${language,,}_$kind" $kind
		done
	done
}

test_install_pkgconfig() {
	local source=$LAB/userspace/test/install libraries shared static
	libraries=$(dirname "$(find "$INSTALLED/usr" -name libdevmem.so)")
	export PKG_CONFIG_PATH=$libraries/pkgconfig LD_LIBRARY_PATH=$libraries
	read -ra shared <<<"$(pkg-config --cflags --libs libdevmem)"
	read -ra static <<<"$libraries/libdevmem.a $(pkg-config --static --cflags --libs libdevmem | sed 's/-ldevmem//')"
	gcc -std=c99 -pedantic -Wall -Werror "$source/program.c" "${shared[@]}" -o "$INSTALLED/c_shared"
	gcc -std=c99 -pedantic -Wall -Werror "$source/program.c" "${static[@]}" -o "$INSTALLED/c_static"
	g++ -std=c++20 -Wall -Werror "$source/program.cc" "${shared[@]}" -o "$INSTALLED/cxx_shared"
	g++ -std=c++20 -Wall -Werror "$source/program.cc" "${static[@]}" -o "$INSTALLED/cxx_static"
	test_install_program "$INSTALLED/c_shared" shared
	test_install_program "$INSTALLED/c_static" static
	test_install_program "$INSTALLED/cxx_shared" shared
	test_install_program "$INSTALLED/cxx_static" static
}

# It is an archive here, as the programs are linked.
test_install_uring() {
	local source=$LAB/userspace/test/install/uring folder=$INSTALLED/cmake-uring libraries flags
	libraries=$(dirname "$(find "$INSTALLED/usr" -name libdevmem.so)")
	cmake -S "$source" -B "$folder" -G Ninja -DCMAKE_PREFIX_PATH="$INSTALLED/usr"
	cmake --build "$folder"
	"$folder/cxx_uring"
	export PKG_CONFIG_PATH=$libraries/pkgconfig LD_LIBRARY_PATH=$libraries
	read -ra flags <<<"$(pkg-config --static --cflags --libs libdevmem-uring)"
	g++ -std=c++20 -Wall -Werror "$source/program.cc" "${flags[@]}" -o "$INSTALLED/cxx_uring"
	"$INSTALLED/cxx_uring"
}

# test_install_program PROGRAM KIND: it runs, with the library that it was compiled for.
test_install_program() {
	local said kind=static
	said=$("$1")
	[[ $said =~ ^([0-9]+)\ ([0-9]+)\ find\ interface\ nonesuch && ${BASH_REMATCH[1]} == "${BASH_REMATCH[2]}" ]] ||
		{ echo "$1 says: $said" && return 1; }
	[[ $(objdump -p "$1") != *NEEDED*libdevmem.so.1* ]] || kind=shared
	[[ $kind == "$2" ]] || { echo "$1 is linked with the $kind library" && return 1; }
}

test_install_pages() {
	local call missing=0
	while read -r call; do
		grep -q "$call" "$INSTALLED"/usr/share/man/man[37]/* || { echo "$call" && missing=1; }
	done < <(test_abi_calls "$BUILD/userspace/libdevmem.so" --defined-only)
	return $missing
}

test_sanitized() {
	# Optimizing what sanitizers add takes the compiler twice the time.
	build_programs "the tests with sanitizers" "$BUILD/sanitized" "userspace/test/all userspace/fuzz/all" \
		-DDEVMEM_SANITIZE=ON -DCMAKE_{C,CXX}_FLAGS_RELWITHDEBINFO='-O0 -g1 -DNDEBUG'
	test_ctest "$BUILD/sanitized"
}

# What threads share, with ThreadSanitizer, which finds no room for its own where addresses are too
# random.
test_threads() {
	local program=$BUILD/threads/userspace/test/devmem_threads run=()
	build_programs "the tests of threads" "$BUILD/threads" devmem_threads -DDEVMEM_SANITIZE=thread
	(($(</proc/sys/vm/mmap_rnd_bits) <= 28)) || run=(setarch --addr-no-randomize)
	test_check devmem_threads "${run[@]}" env TSAN_OPTIONS=halt_on_error=1 "$program"
}

# The unit tests feed the parsers for a moment; clang's libFuzzer knows how to dig.
test_fuzz() {
	local fuzzer folder=$BUILD/fuzz
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
