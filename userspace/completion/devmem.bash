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
	local word=$2 before=$3 words='' memory='--memory --size'
	if ((COMP_CWORD == 1)); then
		words="bench doctor recv restore send status --help --version"
	else
		case $before in
		--for) words="receive send both" ;;
		--memory | -m) words="accelmem udmabuf" ;;
		--input | -i | --output | -o | --journals)
			mapfile -t COMPREPLY < <(compgen -f -- "$word")
			return
			;;
		--bytes | --connections | -n | --count | --port | --queues | -q | --seconds | --size) ;;
		*)
			case ${COMP_WORDS[1]} in
			bench) words="$memory --bytes --connections --json --port --queues --seconds" ;;
			doctor) words="--for --json" ;;
			recv) words="$memory --discard --json --output --queues" ;;
			restore) words="--journals" ;;
			send) words="$memory --input --json" ;;
			status) words="--watch --count --json" ;;
			esac
			words+=" --help"
			[[ ${COMP_WORDS[1]} == restore ]] || words+=" $(_devmem_interfaces)"
			;;
		esac
	fi
	mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
}

complete -o filenames -F _devmem devmem
