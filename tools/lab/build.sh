# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# What the lab runs, built in build/: the source tree stays as it is.

# Waits for other labs that build in FOLDER; a step is a process, whose end frees it.
alone_in() {
	mkdir -p "$1"
	exec {lock}>"$1/.lock"
	flock "$lock"
}

build_modules() {
	MODULES=$BUILD/modules-$KERNEL_ID
	need "to build kernel modules" make gcc-12 libc6-dev libelf1 pahole
	step "building the modules for $KERNEL_RELEASE" modules make_modules "$MODULES"
}

# make_modules COPY ARG...: Kbuild writes beside the sources, so it gets a copy.
make_modules() {
	alone_in "$1"
	cd "$LAB" || exit
	find Kbuild drivers include/uapi \( -name '*.[ch]' ! -name '*.mod.c' -o -name Makefile -o -name Kbuild \) \
		-exec cp --parents --update --preserve=timestamps -t "$1" {} +
	make -C "$KERNEL_BUILD" M="$1" -j"$(nproc)" "${@:2}" modules
}

# build_programs WHAT FOLDER "TARGET..." [CMAKE OPTION...]
build_programs() {
	need "to build the library, tools and tests" cmake ninja-build g++ pkg-config libmnl-dev libfmt-dev \
		libcli11-dev nlohmann-json3-dev libgtest-dev libgmock-dev liburing-dev libasio-dev
	step "building $1" programs make_programs "${@:2}"
}

# To optimize a little and tell debuggers lines alone takes the compiler half the time. What is
# measured is built as for everybody: see devmem_full in CMakeLists.txt.
make_programs() {
	local quick='-O1 -g1 -DNDEBUG'
	alone_in "$1"
	[[ -e $1/build.ninja ]] || cmake --fresh -S "$LAB" -B "$1" -G Ninja \
		-DCMAKE_{C,CXX}_FLAGS_RELWITHDEBINFO="$quick" "${@:3}"
	# shellcheck disable=SC2086 # targets, one word each
	cmake --build "$1" --target $2
}

# What the guest runs: it has no use for the unit tests. Ninja has a target for
# each folder of the sources.
build_guest_programs() {
	local folder targets=(devmem_shared c_interface)
	for folder in tools/testing/selftests/devmem userspace/tools userspace/examples; do
		[[ ! -e $LAB/$folder/CMakeLists.txt ]] || targets+=("$folder/all")
	done
	build_programs "the tools" "$BUILD" "${targets[*]}"
}
