# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# A series of patches: how it leaves the repository, and tests of that.

lab_series() {
	options "" "$@"
	((${#ARGS[@]} == 2)) || misuse "series: of which kernel, and to which folder?"
	[[ -e $LAB/patches/${ARGS[0]}/series ]] || misuse "no patches for ${ARGS[0]}"
	local folder tree
	mkdir -p "${ARGS[1]}"
	folder=$(readlink -f "${ARGS[1]}")
	[[ ! $(ls -A "$folder") ]] || die "$folder is not empty: what lies there would land with the series"
	need "to write the patches" git patch xz-utils
	patched_source "${ARGS[0]}"
	tree=$CACHE/linux-${ARGS[0]}-$(patched_id "${ARGS[0]}")
	step "applying patches/${ARGS[0]}" kernel-patches patched_tree "${ARGS[0]}" "$tree"
	step "writing the mailbox" series "$LAB/patches/kernel-tree" mailbox "${ARGS[0]}" "$tree/tree" "$folder"
	say "git am $folder/*.patch puts $(find "$folder" -name '*.patch' | wc -l) patches on Linux ${SOURCE##*/}"
}

# The points of the suite. The files that the patches edit, and .gitattributes, by
# which git writes them, stand for the whole source: this takes seconds, but
# for checkpatch, which takes some 20 of an idle machine.
test_series() {
	local source scratch
	need "to test the patches" git patch perl xz-utils
	patched_source 6.1
	scratch=$(mktemp -d -t series.XXXXXX)
	# shellcheck disable=SC2064 # now: $scratch is local
	trap "rm -rf '$scratch'" EXIT
	source=$scratch/source
	mkdir "$source"
	cd "$SOURCE" || exit
	{ echo .gitattributes && sed -n 's|^--- a/||p' "$LAB"/patches/6.1/*.patch; } | sort -u |
		xargs cp --parents -t "$source"
	test_check "the round trip leaves no diff" "$LAB/patches/kernel-tree" check 6.1 "$source"
	test_check "a commit that makes no patch is named, and nothing is written" series_export
	test_check "a series without new files is exported" series_plain
	test_check "git am of the mailbox gives the same tree" series_mailbox
	test_check "numbers of options are upstream's for each architecture" series_numbers
	test_check "checkpatch --strict has nothing to say but what is explained" series_style
	test_check "a patch whose context has changed applies, and is reported" series_fuzz
	test_check "a patch that does not apply is named" series_conflict
	test_check "a new file that the source has already is named" series_collision
}

series_mailbox() {
	local tree=$scratch/tree
	"$LAB/patches/kernel-tree" new 6.1 "$source" "$tree"
	"$LAB/patches/kernel-tree" mailbox 6.1 "$tree" "$scratch/mailbox"
	cd "$tree" || exit
	git -c advice.detachedHead=false worktree add -q "$scratch/am" base
	git -C "$scratch/am" -c user.name=lab -c user.email=lab@localhost am -q "$scratch"/mailbox/*.patch
	git diff --exit-code HEAD "$(git -C "$scratch/am" rev-parse HEAD)"
	test "$(git rev-parse 'HEAD^{tree}')" = "$(git -C "$scratch/am" rev-parse 'HEAD^{tree}')"
}

# series_export_fails SUBJECT: with what is in the index as one more commit.
series_export_fails() {
	git -c user.name=lab -c user.email=lab@localhost commit -q -m "$1"
	! "$scratch/top/patches/kernel-tree" export 6.1 . >"$scratch/export.log" 2>&1 || return 1
	cat "$scratch/export.log"
	grep "($1) edits no file that base has" "$scratch/export.log"
	for folder in "${folders[@]}"; do
		diff -r "$LAB/$folder" "$scratch/top/$folder"
	done
	git reset -q --hard HEAD^
}

series_export() {
	local folder folders=(patches Documentation drivers include net) file
	mkdir "$scratch/top"
	(cd "$LAB" && cp -a --parents -t "$scratch/top" "${folders[@]}")
	"$LAB/patches/kernel-tree" new 6.1 "$source" "$scratch/export"
	cd "$scratch/export" || exit
	echo >new.c
	git add -f new.c
	series_export_fails "only a new file"
	file=$(grep -v '^#' "$LAB/patches/6.1/series" | cut -s -d ' ' -f 2 | head -n 1)
	echo >>"$file"
	git add -f "$file"
	series_export_fails "only a file of the series"
}

series_plain() {
	local top=$scratch/plain git=(git -c user.name=lab -c user.email=lab@localhost)
	mkdir -p "$top/patches/6.1" "$top/tree"
	cp "$LAB/patches/kernel-tree" "$top/patches"
	echo "# patch" >"$top/patches/6.1/series"
	cd "$top/tree" || exit
	git init -q
	echo before >file
	git add file
	"${git[@]}" commit -q -m base
	git tag base
	echo after >file
	"${git[@]}" commit -q -a -m edit
	"$top/patches/kernel-tree" export 6.1 .
	grep -x 0001-edit.patch "$top/patches/6.1/series"
	grep '^+after$' "$top/patches/6.1/0001-edit.patch"
}

# In each header of 6.1 that has numbers of its own.
series_numbers() {
	local headers header numbers
	mapfile -t headers < <(cd "$SOURCE" && grep -rl 'define SO_RCVMARK' arch/*/include include)
	test "${#headers[@]}" -eq 5
	for header in "${headers[@]}"; do
		case $header in
		arch/parisc/*) numbers=(0x404E 0x404F 0x4050) ;;
		arch/sparc/*) numbers=(0x0057 0x0058 0x0059) ;;
		*) numbers=(78 79 80) ;;
		esac
		echo "$header"
		diff - <(awk '/^#define S(O|CM)_DEVMEM_/ { print $2, $3 }' "$scratch/tree/$header") <<-END
			SO_DEVMEM_LINEAR ${numbers[0]}
			SCM_DEVMEM_LINEAR SO_DEVMEM_LINEAR
			SO_DEVMEM_DMABUF ${numbers[1]}
			SCM_DEVMEM_DMABUF SO_DEVMEM_DMABUF
			SO_DEVMEM_DONTNEED ${numbers[2]}
		END
	done
}

# What is explained in the messages of these patches:
#   0002	skb_frag_t is there already, only of another struct
#   0026	the argument is an array, which has no side effects
# That new files are in no entry of MAINTAINERS is said of each, and goes for all.
series_style() {
	cd "$scratch/mailbox" || exit
	perl "$SOURCE/scripts/checkpatch.pl" --root="$SOURCE" --strict --terse --show-types \
		--ignore FILE_PATH_CHANGES ./*.patch >"$scratch/style.log" 2>&1 || :
	cat "$scratch/style.log"
	diff - <(grep -v '^total: ' "$scratch/style.log" |
		sed 's|^\./\(....\)[^:]*:[0-9]*: [A-Z]*:\([A-Z_]*\):.*|\1 \2|') <<-'END'
		0002 NEW_TYPEDEFS
		0026 MACRO_ARG_REUSE
	END
}

# series_new NAME SED: copies the source to NAME, edits the first file of the
# first patch there, and applies the series. Prints what that said.
series_new() {
	local file
	file=$(sed -n 's|^--- a/||p' "$LAB"/patches/6.1/0001-*.patch | head -n 1)
	cp -a "$source" "$scratch/$1"
	sed -i "$2" "$scratch/$1/$file"
	"$LAB/patches/kernel-tree" new 6.1 "$scratch/$1" "$scratch/$1-tree" 2>&1
}

series_fuzz() {
	local line
	line=$(sed -n 's/^@@ -\([0-9]*\),.*/\1/p' "$LAB"/patches/6.1/0001-*.patch | head -n 1)
	series_new fuzz "${line}s|\$| /* not what it was */|" | tee "$scratch/fuzz.log"
	grep "0001-.* applies with fuzz or offset" "$scratch/fuzz.log"
	grep "with fuzz" "$scratch/fuzz.log"
}

series_conflict() {
	! series_new conflict 's/./x/g' >"$scratch/conflict.log" || return 1
	cat "$scratch/conflict.log"
	grep "0001-.* does not apply" "$scratch/conflict.log"
}

series_collision() {
	local file
	file=$(grep -v '^#' "$LAB/patches/6.1/series" | cut -s -d ' ' -f 2 | head -n 1)
	cp -a "$source" "$scratch/collision"
	mkdir -p "$scratch/collision/$(dirname "$file")"
	touch "$scratch/collision/$file"
	! "$LAB/patches/kernel-tree" new 6.1 "$scratch/collision" "$scratch/collision-tree" >"$scratch/collision.log" 2>&1 ||
		return 1
	cat "$scratch/collision.log"
	grep "$file: the kernel has such a file already" "$scratch/collision.log"
}
