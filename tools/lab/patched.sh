# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# A kernel of ours: Debian's source, the patches, and a small configuration.

PATCHED_CONFIG=tools/testing/selftests/devmem/qemu

# kernel_patched VERSION: built once for each state of patches, new files and configuration.
kernel_patched() {
	local tree build
	need "to build Linux $1" git make gcc bc flex bison patch xz-utils libelf-dev libssl-dev kmod
	patched_source "$1"
	tree=$CACHE/linux-$1-$(patched_id "$1")
	build=$tree/build-$(patched_configs | xargs cat | sha256sum | cut -c 1-12)
	if [[ ! -e $build/built ]]; then
		step "applying patches/$1" kernel-patches patched_tree "$1" "$tree"
		step "building Linux $1, once" kernel-build patched_build "$tree" "$build"
	fi
	kernel_tree "$build"
}

# patched_source VERSION: Debian's, unpacked. Sets SOURCE.
patched_source() {
	local package
	package=$(patched_offered "$1")
	if [[ ! $package ]]; then
		step "refreshing apt's package lists" apt as_root "${APT_GET[@]}" update
		package=$(patched_offered "$1")
	fi
	[[ $package ]] || die "apt offers no linux-source-$1: is this Debian 12?"
	SOURCE=$CACHE/source-$1/$package
	[[ -e $SOURCE/Makefile ]] ||
		step "fetching Debian's source of Linux $1" kernel-source patched_fetch "$1"
}

patched_offered() { apt-cache policy "linux-source-$1" | sed -n 's/^ *Candidate: \([0-9].*\)/\1/p'; }

# What the kernel is made of, as one word. New pages about it do not make it another.
patched_id() {
	cd "$LAB" && {
		echo "$SOURCE"
		cat "patches/$1/series" "patches/$1"/*.patch
		grep -v '^#' "patches/$1/series" | cut -s -d ' ' -f 2- | tr ' ' '\n' |
			grep -v '^Documentation/' | xargs -r cat
	} | sha256sum | cut -c 1-12
}

patched_configs() {
	printf '%s\n' "$LAB/$PATCHED_CONFIG/kernel.config" ${OPT[debug]:+"$LAB/$PATCHED_CONFIG/debug.config"}
}

patched_fetch() {
	local new
	alone_in "$CACHE/source-$1"
	new=$(mktemp -d "$CACHE/new.XXXXXX")
	# shellcheck disable=SC2064 # now: $new is local
	trap "rm -rf '$new'" EXIT
	cd "$new" || exit
	"${APT_GET[@]}" download -o APT::Sandbox::User=root "linux-source-$1"
	dpkg -x ./*.deb root
	mkdir source
	tar -xf "root/usr/src/linux-source-$1.tar.xz" -C source --strip-components=1
	rm -rf "$SOURCE"
	mv source "$SOURCE"
}

# patched_tree VERSION FOLDER: FOLDER/tree. A half made one has another name.
patched_tree() {
	alone_in "$2"
	[[ ! -e $2/tree ]] || return 0
	rm -rf "$2/new"
	"$LAB/patches/kernel-tree" new "$1" "$SOURCE" "$2/new"
	mv "$2/new" "$2/tree"
}

# patched_build FOLDER BUILD: what was begun goes on.
patched_build() {
	local make=(make -s -C "$1/tree" O="$2" -j"$(nproc)") configs
	alone_in "$2"
	[[ ! -e $2/built ]] || return 0
	mapfile -t configs < <(patched_configs)
	"${make[@]}" tinyconfig
	"$1/tree/scripts/kconfig/merge_config.sh" -m -O "$2" "$2/.config" "${configs[@]}"
	cp "$2/.config" "$2/merged.config"
	"${make[@]}" olddefconfig
	patched_config_holds "$2" "${configs[@]}"
	"${make[@]}" bzImage modules
	touch "$2/built"
}

# patched_config_holds BUILD CONFIG...: an option that the kernel has dropped, for want of another,
# would skip tests in silence. Those of a config that a later one changes are not merged.
patched_config_holds() {
	local missing
	missing=$(cat "${@:2}" | grep '^CONFIG_' | grep -xFf "$1/merged.config" | grep -vxFf "$1/.config" || :)
	[[ ! $missing ]] || die "the configuration does not take $missing"
}
