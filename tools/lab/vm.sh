# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# The virtual machine: one boot, one job. Its files are this machine's own, seen
# through virtiofs; qemu/init.c tells the guest's side of it.

VM_SOURCE=tools/testing/selftests/devmem/qemu

lab_vm() {
	options "--kernel= --debug --nic= --iommu --share= --timeout= ..." "$@"
	if [[ ! ${ARGS[*]} && ! -t 0 ]]; then
		misuse "vm: a shell needs a terminal; what is CMD?"
	fi
	[[ ${OPT[timeout]:-0} =~ ^[0-9]+$ ]] || misuse "--timeout: ${OPT[timeout]} is no number of seconds"
	nic_options
	vm_prepare
	vm "${ARGS[@]:-bash}"
}

# vm_prepare: the kernel, the modules and the programs.
vm_prepare() {
	vm_prepare_kernel
	build_guest_programs
}

vm_prepare_kernel() {
	kernel "${OPT[kernel]}"
	need "for the virtual machine" qemu-system-x86 qemu-system-common cpio xz-utils util-linux
	need "for the guest, which runs this machine's programs" iproute2 ethtool iputils-ping iperf3 kmod procps \
		socat tcpdump iptables nftables
	build_modules
}

# vm CMD...: boots, runs CMD, returns its status, or 125 if the guest failed.
vm() {
	local share=${OPT[share]:-} tty=''
	if [[ $share ]]; then
		[[ -d $share ]] || die "no folder $share to share"
		share=$(readlink -f "$share")
		mkdir -p "$share/out"
	fi
	if [[ -t 0 && -t 1 ]]; then
		tty=yes
	fi
	VM=$(mktemp -d -t devmem.XXXXXX)
	trap vm_cleanup EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM HUP

	mkdir -p "$BUILD/log" "$VM/lab"
	vm_job "$@" >"$VM/lab/job"
	find "$MODULES" -name '*.ko' >"$VM/lab/modules"
	printf '%s\n' "$KERNEL_ROOT/lib/modules" >"$VM/lab/libmodules"
	[[ ! $share ]] || : >"$VM/lab/share"
	[[ ! $tty ]] || : >"$VM/lab/tty"
	step "making the initramfs" initramfs vm_initramfs

	vm_serve / "$VM/host" always read-only
	[[ ! $share ]] || vm_serve "$share" "$VM/share" auto
	vm_accel
	vm_qemu
	vm_status
}

# vm_job CMD...: the script that the guest runs. printf %q keeps CMD's words.
vm_job() {
	local path
	path=$BUILD/userspace/tools:$BUILD/userspace/examples:$BUILD/tools/testing/selftests/devmem
	path+=:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
	printf 'export %q\n' HOME=/root USER=root LANG=C.UTF-8 "TERM=${TERM:-dumb}" "PATH=$path" \
		"DEVMEM_BUILD=$BUILD" "DEVMEM_TREE=$LAB" "DEVMEM_NIC=${OPT[nic]:-dmnic}"
	if [[ ${tty:-} ]]; then
		printf 'stty sane rows %d cols %d\n' "$(tput lines)" "$(tput cols)"
	fi
	printf 'cd %q || exit 125\n' "$PWD"
	printf 'exec'
	printf ' %q' "$@"
	printf '\n'
}

# The initramfs: init and the modules it needs, made once for a kernel, and this
# run's /lab. The kernel unpacks one archive after the other.
vm_initramfs() {
	local folder=$BUILD/qemu/$KERNEL_ID base=$BUILD/qemu/$KERNEL_ID.cpio
	alone_in "$BUILD/qemu"
	if [[ ! $base -nt $LAB/$VM_SOURCE/init.c || ! $base -nt $KERNEL_IMAGE ]]; then
		rm -rf "$folder"
		mkdir -p "$folder/boot" "$folder/dev"
		gcc-12 -O2 -Wall -Wextra -static -s -o "$folder/init" "$LAB/$VM_SOURCE/init.c"
		vm_boot_modules "$folder/boot"
		vm_archive "$folder" >"$base.new"
		mv "$base.new" "$base"
	fi
	[[ $BUILD/qemu/tsc-khz -nt $LAB/$VM_SOURCE/tsc-khz.c ]] ||
		gcc-12 -O2 -Wall -Wextra -o "$BUILD/qemu/tsc-khz" "$LAB/$VM_SOURCE/tsc-khz.c"
	mkdir "$VM/initramfs"
	mv "$VM/lab" "$VM/initramfs/lab"
	{ cat "$base" && vm_archive "$VM/initramfs"; } >"$VM/cpio"
}

vm_archive() { (cd "$1" && find . | cpio --quiet --create --format=newc --owner=0:0); }

# The modules, if modules they are, that init needs to see the host's files.
vm_boot_modules() {
	local name module i=10
	for name in virtio_pci virtio_console virtiofs overlay; do
		/sbin/modprobe -d "$KERNEL_ROOT" -S "$KERNEL_RELEASE" --show-depends "$name"
	done | sed -n 's/^insmod \([^ ]*\).*/\1/p' | awk '!seen[$0]++' | while read -r module; do
		name=$(basename "$module")
		case $module in
		*.xz) xz -dc "$module" ;;
		*.zst) zstd -dc "$module" ;;
		*.gz) gzip -dc "$module" ;;
		*) cat "$module" ;;
		esac >"$1/$((i++))-${name%%.ko*}.ko"
	done
}

# vm_serve FOLDER SOCKET CACHE [read-only]: a virtiofsd, which ends with QEMU.
vm_serve() {
	local folder=$1 socket=$2 cache=$3 mode=${4:-} sandbox=namespace within=() tries
	if as_root unshare --mount true 2>/dev/null; then
		# Read-only for the server too, whatever a broken guest may ask.
		[[ ! $mode ]] || within=(unshare --mount sh -c "mount --rbind $folder /mnt &&
			mount -o remount,bind,ro /mnt && exec \"\$@\"" sh) folder=/mnt
	else
		sandbox=chroot
	fi
	as_root "${within[@]}" /usr/lib/qemu/virtiofsd --socket-path="$socket" --socket-group="$(id -gn)" \
		-o source="$folder" -o cache="$cache" -o sandbox=$sandbox -o log_level=warn \
		>>"$BUILD/log/virtiofsd.log" 2>&1 </dev/null &
	for ((tries = 0; tries < 1200; tries++)); do
		! vm_listens "$socket" || return 0
		[[ -d /proc/$! ]] || break
		sleep 0.05
	done
	tail "$BUILD/log/virtiofsd.log" >&2
	die "virtiofsd does not start"
}

# The file is there before anybody listens: QEMU would be refused. To connect is no way to find
# out, as a server ends with its first client.
vm_listens() { awk -v path="$1" '$4 == "00010000" && $NF == path { found = 1 } END { exit !found }' /proc/net/unix; }

# Where instructions are counted, METER is QEMU's plugin with its arguments. QEMU takes each for a
# nanosecond then, so that what happens depends on them alone; and the kernel does without what
# depends on chance, or on the make of the CPU.
METER=''

# vm_accel: sets ACCEL, CPUS and ACCEL_APPEND. A /dev/kvm that opens may still not run a kernel (nested
# virtualization), so one is booted, once in each life of the host.
vm_accel() {
	local verdict
	CPUS=2
	if [[ $METER ]]; then
		ACCEL=(-accel "tcg,thread=single" -icount "shift=0,sleep=off" -cpu "qemu64,+rdrand" -plugin "$METER")
		CPUS=1 ACCEL_APPEND="tsc_early_khz=1000000 tsc=reliable no_timer_check hpet=disable nokaslr norandmaps mitigations=off"
		return
	fi
	verdict=$CACHE/kvm/$(</proc/sys/kernel/random/boot_id)
	[[ -e $verdict ]] || step "trying KVM" kvm vm_try_kvm "$verdict"
	if [[ $(<"$verdict") == yes ]]; then
		ACCEL=(-accel kvm -cpu host) ACCEL_APPEND=''
	else
		# No faster copies with "rep movsb" here: it is emulated byte by byte.
		ACCEL=(-accel "tcg,thread=multi" -cpu "qemu64,+rdrand")
		# While the host is busy elsewhere, it looks as if the timer did not work. With QEMU's HPET
		# it does not for a long time, if the host takes a CPU away while that is set up.
		ACCEL_APPEND="tsc_early_khz=$("$BUILD/qemu/tsc-khz") no_timer_check hpet=disable"
		# What QEMU translates it finds again at the same address alone: a program at the same
		# addresses each time starts in a fifth of the user time.
		ACCEL_APPEND+=" norandmaps"
		# The counter is the host's. If that keeps its time by it, so may the guest, whose other
		# clocks are slow to read.
		if [[ $(cat /sys/devices/system/clocksource/clocksource0/current_clocksource 2>/dev/null) == tsc ]]; then
			ACCEL_APPEND+=" tsc=reliable"
		fi
	fi
}

# vm_try_kvm VERDICT. Init finds no port to report to and halts; the kernel must have got that far.
vm_try_kvm() {
	alone_in "${1%/*}"
	[[ ! -e $1 ]] || return 0
	rm -f "${1%/*}"/*
	echo no >"$1.new"
	if [[ -w /dev/kvm ]] && timeout 5 qemu-system-x86_64 -nodefaults -no-user-config -display none -no-reboot \
		-M q35 -accel kvm -cpu host -m 512M -kernel "$KERNEL_IMAGE" -initrd "$VM/cpio" \
		-append "console=ttyS0 panic=-1" -serial "file:$VM/console" && grep 'Run /init' "$VM/console"; then
		echo yes >"$1.new"
	fi
	mv "$1.new" "$1"
}

# What a machine has besides what every one has: its memory as another file, more devices, words for
# its kernel, and where its console is kept, if there are others.
VM_MEMORY=memory-backend-memfd
VM_DEVICES=()
VM_APPEND=
VM_CONSOLE=console.log

# A CPU that the host does not run for a while is not stuck.
PATIENCE="rcupdate.rcu_cpu_stall_timeout=100 watchdog_thresh=50 workqueue.watchdog_thresh=100"

vm_qemu() {
	local command=(
		qemu-system-x86_64 -nodefaults -no-user-config -display none -no-reboot
		-M "q35,memory-backend=memory" -object "$VM_MEMORY,id=memory,size=2G,share=on" -m 2G
		-smp "$CPUS" "${ACCEL[@]}" -kernel "$KERNEL_IMAGE" -initrd "$VM/cpio"
		-append "console=ttyS0 panic=-1 panic_on_warn=1 oops=panic reboot=t cryptomgr.notests $PATIENCE $ACCEL_APPEND $VM_APPEND"
		-chardev "file,id=console,path=$VM/console" -serial chardev:console
		-device virtio-serial-pci
		-chardev "file,id=status,path=$VM/status" -device "virtserialport,chardev=status,name=status"
		-chardev "socket,id=host,path=$VM/host" -device "vhost-user-fs-pci,chardev=host,tag=host"
	)
	command+=("${VM_DEVICES[@]}")
	[[ ! $share ]] ||
		command+=(-chardev "socket,id=share,path=$VM/share" -device "vhost-user-fs-pci,chardev=share,tag=share")
	[[ ! ${OPT[timeout]:-} ]] || command=(timeout --foreground "${OPT[timeout]}" "${command[@]}")

	QEMU_STATUS=0
	if [[ $tty ]]; then
		command+=(-chardev "stdio,id=tty,signal=off" -device "virtconsole,chardev=tty")
		"${command[@]}" 2>"$VM/qemu.log" || QEMU_STATUS=$?
	else
		vm_streams
	fi
}

# Without a terminal the job's streams are ports. Files, not pipes, take what it
# writes, as QEMU would drop what a slow reader has not taken when the guest ends.
vm_streams() {
	local first
	mkfifo "$VM/stdin"
	: >"$VM/stdout"
	: >"$VM/stderr"
	cat <&0 >"$VM/stdin" 2>/dev/null &
	command+=(
		-chardev "stdio,id=stdin,signal=off" -device "virtserialport,chardev=stdin,name=stdin"
		-chardev "file,id=stdout,path=$VM/stdout" -device "virtserialport,chardev=stdout,name=stdout"
		-chardev "file,id=stderr,path=$VM/stderr" -device "virtserialport,chardev=stderr,name=stderr"
	)
	"${command[@]}" <"$VM/stdin" 2>"$VM/qemu.log" >/dev/null &
	local qemu=$!
	vm_watch_start "$qemu" >/dev/null 2>&1 &
	tail -c +1 -s 0.05 -f --pid=$qemu "$VM/stdout" &
	local out=$!
	tail -c +1 -s 0.05 -f --pid=$qemu "$VM/stderr" >&2 &
	local err=$!
	# If nobody reads stdout any more, the guest may stop.
	wait -n -p first "$qemu" "$out" || QEMU_STATUS=$?
	if [[ $first == "$out" ]]; then
		kill "$qemu" 2>/dev/null || :
		exit 141
	fi
	wait "$out" "$err" || :
}

# vm_watch_start QEMU: a kernel that does not come to its end of booting is not worth a job's time.
# One of 6.1 with PROVE_RCU may not: its test of RCU tasks can wait for a mutex whose owner waits for it.
vm_watch_start() {
	local tries
	for ((tries = 0; tries < 300; tries++)); do
		! vm_started || return 0
		[[ -d /proc/$1 ]] || return 0
		sleep 1
	done
	kill "$1"
}

vm_started() { grep -q 'Run /init' "$VM/console"; }

vm_status() {
	local word rest
	((EUID == 0)) || [[ ! $share ]] || as_root chown -R "$(id -u):$(id -g)" "$share/out"
	cp "$VM/console" "$BUILD/log/$VM_CONSOLE" 2>/dev/null || :
	read -r word rest 2>/dev/null <"$VM/status" || word=
	case $word in
	exit) return "$rest" ;;
	error) rest="the guest is not usable: $rest" ;;
	*)
		rest="the guest died"
		if [[ $QEMU_STATUS == 124 ]]; then
			rest="the guest took more than ${OPT[timeout]} s"
		elif ! vm_started; then
			rest="the guest did not start"
		fi
		;;
	esac
	cat "$VM/qemu.log" >&2
	vm_console_tail "$BUILD/log/$VM_CONSOLE" >&2
	say "$rest; its console is in $BUILD/log/$VM_CONSOLE"
	return 125
}

# vm_console_tail LOG: from the kernel's first complaint on, if it has one.
vm_console_tail() {
	local first
	first=$(grep -nE -m 1 'cut here|BUG|Oops|Kernel panic|general protection' "$1" | cut -d: -f1) || :
	tail -n "+${first:-1}" "$1" | { if [[ $first ]]; then head -n 60; else tail -n 20; fi; } | tr -d '\r'
}

vm_cleanup() {
	local job socket
	for job in $(jobs -p); do
		kill "$job" 2>/dev/null || :
	done
	# A server that QEMU never came to ends with its first client.
	for socket in "$VM/host" "$VM/share"; do
		[[ ! -S $socket ]] || socat -u /dev/null "UNIX-CONNECT:$socket" 2>/dev/null || :
	done
	rm -rf "$VM"
}
