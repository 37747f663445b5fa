# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# A kernel: where its image is, and what modules for it are built against.

lab_kernel() {
	options "--debug" "$@"
	((${#ARGS[@]} == 1)) || misuse "kernel: which one?"
	kernel "${ARGS[0]}"
	printf '%s\n' "release  $KERNEL_RELEASE" "image    $KERNEL_IMAGE" "headers  $KERNEL_BUILD" \
		"modules  $KERNEL_ROOT/lib/modules/$KERNEL_RELEASE"
}

# kernel K: finds or fetches K. Sets
#   KERNEL_ID       a name for it that no other kernel has
#   KERNEL_RELEASE  what uname -r says in it
#   KERNEL_IMAGE    what QEMU boots
#   KERNEL_BUILD    the folder for make -C
#   KERNEL_ROOT     the folder with its lib/modules
kernel() {
	case $1 in
	6.12)
		[[ ! ${OPT[debug]:-} ]] || misuse "--debug: Debian's 6.12 is as it is; take 6.1, or build one and give its PATH"
		kernel_debian "$1"
		;;
	6.1) kernel_patched "$1" ;;
	*)
		[[ -d $1 ]] || misuse "no kernel $1: 6.1, 6.12, or the path of a built kernel tree"
		kernel_tree "$(readlink -f "$1")"
		;;
	esac
}

kernel_tree() {
	KERNEL_BUILD=$1
	KERNEL_IMAGE=$1/arch/x86/boot/bzImage
	[[ -e $KERNEL_IMAGE ]] || die "$1 is not a built kernel tree: it has no arch/x86/boot/bzImage"
	KERNEL_RELEASE=$(<"$1/include/config/kernel.release")
	KERNEL_ID=$KERNEL_RELEASE-$(cksum <<<"$1" | cut -d ' ' -f 1)
	KERNEL_ROOT=$BUILD/kernel/$KERNEL_ID
	[[ $KERNEL_ROOT/lib/modules -nt $KERNEL_IMAGE ]] ||
		step "installing the modules of $KERNEL_RELEASE" modules_install kernel_tree_modules
}

kernel_tree_modules() {
	local modules=$KERNEL_ROOT/lib/modules/$KERNEL_RELEASE
	mkdir -p "$modules"
	if [[ -e $KERNEL_BUILD/modules.order ]]; then
		make -C "$KERNEL_BUILD" modules_install INSTALL_MOD_PATH="$KERNEL_ROOT" DEPMOD=true
	else
		cp "$KERNEL_BUILD"/modules.builtin* "$modules"	# all of it is in the image
	fi
	/sbin/depmod -b "$KERNEL_ROOT" "$KERNEL_RELEASE"
	touch "$KERNEL_ROOT/lib/modules"
}

# kernel_debian VERSION: the newest of Debian's cloud kernels of that version.
kernel_debian() {
	local all=$CACHE/debian-$1 offered=
	mkdir -p "$all"
	KERNEL_RELEASE=$(find "$all" -mindepth 1 -maxdepth 1 -name '*-amd64' -printf '%f\n' | sort -V | tail -n 1)
	# Is there a newer one? Not unless apt's lists have changed since.
	if [[ ! $KERNEL_RELEASE || /var/lib/apt/lists -nt $all ]]; then
		offered=$(kernel_debian_offered "$1")
		KERNEL_RELEASE=${offered:-$KERNEL_RELEASE}
	fi
	if [[ ! $KERNEL_RELEASE ]]; then
		step "refreshing apt's package lists" apt as_root "${APT_GET[@]}" update
		KERNEL_RELEASE=$(kernel_debian_offered "$1")
	fi
	[[ $KERNEL_RELEASE ]] || die "apt offers no linux-image-$1.*+deb12-cloud-amd64: is this Debian 12?"
	KERNEL_ID=$KERNEL_RELEASE
	KERNEL_ROOT=$all/$KERNEL_RELEASE
	KERNEL_IMAGE=$KERNEL_ROOT/boot/vmlinuz-$KERNEL_RELEASE
	KERNEL_BUILD=$KERNEL_ROOT/usr/src/linux-headers-$KERNEL_RELEASE
	if [[ ! -d $KERNEL_ROOT ]]; then
		need "to unpack kernels" kmod
		say "fetching Debian's $KERNEL_RELEASE with apt, into $CACHE; nothing is installed"
		step "fetching the kernel" kernel kernel_debian_fetch "$all"
	fi
	touch "$all"
}

kernel_debian_offered() {
	apt-cache pkgnames "linux-image-$1." | sed -n 's/^linux-image-\(.*+deb12-cloud-amd64\)-unsigned$/\1/p' |
		sort -V | tail -n 1
}

# Unpacks the packages instead of installing them: the headers depend on the
# image, whose installation would touch this machine's own /boot.
kernel_debian_fetch() {
	local new version=${KERNEL_RELEASE%-cloud-amd64} package
	new=$(mktemp -d "$1/new.XXXXXX")
	# shellcheck disable=SC2064 # now: $new is local
	trap "rm -rf '$new'" EXIT
	cd "$new" || exit
	local packages=("linux-image-$KERNEL_RELEASE-unsigned" "linux-headers-$KERNEL_RELEASE"
		"linux-headers-$version-common" "linux-kbuild-$version")
	local download=("${APT_GET[@]}" download -o APT::Sandbox::User=root "${packages[@]}")
	"${download[@]}" || { as_root "${APT_GET[@]}" update && "${download[@]}"; }
	for package in *.deb; do
		dpkg -x "$package" root
	done
	sed -i "s|^include /usr/src|include $KERNEL_ROOT/usr/src|" "root/usr/src/linux-headers-$KERNEL_RELEASE/Makefile"
	if [[ -d root/usr/lib/modules && ! -e root/lib ]]; then
		ln -s usr/lib root/lib
	fi
	/sbin/depmod -b root "$KERNEL_RELEASE"
	chmod 755 root
	mv root "$KERNEL_ROOT"
}
