# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# A NIC and device memory that QEMU emulates: its e1000e, which is Intel's 82574L, writes into the
# BAR of its ivshmem-plain. The machine's RAM and the BAR are files here, so that somebody outside
# can see what is in them: tools/lab/outside, which is the TCP peer as well. nic-in-vm is inside.

# nic_run BYTES: moves that many bytes, in and out, with device memory TCP and without.
nic_run() {
	local folder outside status=0
	folder=$(mktemp -d -p "$(nic_room)" devmem.XXXXXX)
	# shellcheck disable=SC2064 # now: $folder is local
	trap "rm -rf '$folder'" EXIT
	nic_devices "$folder"
	"$LAB/tools/lab/outside" --folder "$folder" --transfers 4 >"$folder/table" &
	outside=$!
	while [[ ! -e $folder/port && -d /proc/$outside ]]; do
		sleep 0.1
	done
	[[ -e $folder/port ]] || return 1
	(vm "$LAB/tools/lab/nic-in-vm" "$(<"$folder/port")" "$1") </dev/null || status=$?
	if ((status)); then
		kill "$outside" 2>/dev/null || :
	fi
	wait "$outside" || status=1
	cat "$folder/table"
	return "$status"
}

# nic_room: a folder with room for all of the RAM, in this machine's RAM if that has it.
nic_room() {
	local free
	free=$(df --output=avail /dev/shm 2>/dev/null | tail -n 1) || :
	if [[ -w /dev/shm ]] && ((${free:-0} > 3 << 20)); then
		echo /dev/shm
	else
		echo "${TMPDIR:-/tmp}"
	fi
}

# nic_devices FOLDER: what the next machine has.
nic_devices() {
	truncate -s 2G "$1/ram"
	truncate -s 64M "$1/bar"
	VM_MEMORY=memory-backend-file,mem-path=$1/ram
	VM_DEVICES=(-object "memory-backend-file,id=bar,size=64M,share=on,mem-path=$1/bar"
		-device ivshmem-plain,memdev=bar -netdev user,id=nic -device e1000e,netdev=nic)
	nic_iommu
}

# nic_pair: the same for tests inside, which have a NIC for each end, and look at the BAR there.
nic_pair() {
	VM_DEVICES=(-object memory-backend-memfd,id=bar,size=64M,share=on -device ivshmem-plain,memdev=bar
		-netdev hubport,id=here,hubid=0 -device e1000e,netdev=here
		-netdev hubport,id=there,hubid=0 -device e1000e,netdev=there)
	nic_iommu
}

nic_iommu() {
	if [[ ${OPT[iommu]:-} ]]; then
		VM_DEVICES=(-device intel-iommu,intremap=off "${VM_DEVICES[@]}")
		VM_APPEND=intel_iommu=on
	fi
}

# nic_options: for a machine to run things in, --nic and --iommu.
nic_options() {
	if [[ ${OPT[nic]:-} ]]; then
		nic_known
		nic_pair
	elif [[ ${OPT[iommu]:-} ]]; then
		misuse "--iommu: dmnic has none, but --nic e1000e can"
	fi
}

nic_known() {
	[[ ${OPT[nic]} == e1000e ]] || misuse "--nic: there is e1000e, not ${OPT[nic]}"
	[[ ${OPT[kernel]} != 6.12 ]] || misuse "--nic: the driver's patches are for 6.1"
}

# The demonstration.
nic_demo() {
	nic_known
	[[ ! ${OPT[file]:-} ]] || misuse "--nic: what is sent is random, so that nobody else can have it"
	need "for who looks from outside" python3
	vm_prepare_kernel
	build_programs "the demonstration" "$BUILD" devmem-demo-nic
	nic_run $((16 << 20))
}

# The guest's tests that make sense where the NIC is none of ours: at both ends it has one queue, and
# nobody makes, deletes or hinders it.
NIC_TESTS=(e1000e_test receive_test send_test sender_test lifetime_test send_lifetime_test send_refusal_test uapi_test
	netlink_test memory_test send_memory_test)

# What happens to the NIC under traffic, from e1000e_test. NIC_TESTS take long.
nic_inside() {
	OPT[nic]=e1000e
	OPT[timeout]=1200
	nic_pair
	vm "$BUILD/$SELFTESTS/e1000e_test" under </dev/null
}

# The same as a test.
test_nic() {
	if [[ ${OPT[kernel]} == 6.12 ]]; then
		printf 'ok 1 e1000e # SKIP the driver is patched in 6.1 alone\n'
		return
	fi
	test_check "e1000e: payload goes to and comes from a BAR, and is never in RAM" nic_run $((2 << 20))
	OPT[iommu]=yes
	test_check "e1000e: the same behind an IOMMU" nic_run $((2 << 20))
	test_check "e1000e: unbound from its driver, suspended, reset and resized under traffic" nic_inside
}
