# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# The demonstration: devmem-demo is the program, demo-in-vm its stage.

lab_demo() {
	options "--kernel= --debug --file= --nic= --iommu" "$@"
	((${#ARGS[@]} == 0)) || misuse "demo: what is ${ARGS[0]}?"
	if [[ ${OPT[nic]:-} ]]; then
		nic_demo
		return
	fi
	[[ ! ${OPT[iommu]:-} ]] || misuse "--iommu: dmnic has none, but --nic e1000e can"
	local file=()
	if [[ ${OPT[file]:-} ]]; then
		[[ -r ${OPT[file]} ]] || die "cannot read ${OPT[file]}"
		file=(--file "$(readlink -f "${OPT[file]}")")	# the guest sees it where it is
	fi
	vm_prepare_kernel
	build_programs "the demonstration" "$BUILD" devmem-demo
	vm "$LAB/tools/lab/demo-in-vm" "${file[@]}"
}
