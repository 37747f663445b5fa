# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# Completion of the devmem command for bash.

_devmem_interfaces() {
	local each
	for each in /sys/class/net/*; do
		echo "${each##*/}"
	done
}

_devmem() {
	local word=$2 before=$3 words
	if ((COMP_CWORD == 1)); then
		words="doctor restore status --help"
	elif [[ $before == --for ]]; then
		words="receive send both"
	elif [[ $before == --count ]]; then
		words=
	else
		case ${COMP_WORDS[1]} in
		doctor) words="--for --json --help $(_devmem_interfaces)" ;;
		restore) words="--journals --help" ;;
		status) words="--watch --count --json --help $(_devmem_interfaces)" ;;
		esac
	fi
	mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
}

complete -F _devmem devmem
