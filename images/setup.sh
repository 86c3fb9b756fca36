# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# setup.sh: what quickstart, bench/run and tests/run do before their own work. Sourced by bash:
#
#	setup_packages [test]      install what is missing of images/packages (with "test": all)
#	setup_kernel               the guest's and the rig's kernel; its folder in $SETUP_KERNEL
#	setup_build DIR VARIANT [OPTION]...   configure (with more cmake options) and build:
#	                           release, asan, coverage or fuzz
#	setup_host_mode DIR        prints where guests run, as that build's quark finds: kvm or rig
#	progress LABEL COMMAND...  run COMMAND with a line that shows that something happens
#
# Each prints to stderr, and returns non-zero after one line that says what failed and what to do.

SETUP_ROOT=$(dirname "$(dirname "$(realpath "${BASH_SOURCE[0]}")")")

# The last line of a log, short and printable: what a build or an installation is at.
_setup_last_line() {
	tail -c 400 "$1" 2>/dev/null | tr '\r' '\n' | grep -v '^ *$' | tail -n 1 |
		tr -cd '[:print:]' | cut -c1-60
}

# Shows LABEL and the seconds since T0: one changing line on a terminal, else a line every 5
# seconds.
_setup_tick() {
	local label=$1 log=$2 t0=$SECONDS seconds

	while sleep 1 && kill -0 $$ 2>/dev/null; do
		seconds=$((SECONDS - t0))
		if [ -t 2 ]; then
			printf '\r\033[K%s ... %d s  %s' "$label" "$seconds" \
				"$(_setup_last_line "$log")" >&2
		elif [ $((seconds % 5)) = 0 ]; then
			printf '%s ... %d s\n' "$label" "$seconds" >&2
		fi
	done
}

# The command stays in the foreground, so that Ctrl-C ends it as usual. Its output goes to a log,
# which is kept, and shown in part, when the command fails.
progress() {
	local label=$1 log ticker status=0 t0=$SECONDS clear=''

	shift
	log=$(mktemp "${TMPDIR:-/tmp}/quark-setup.XXXXXX") || return 1
	_setup_tick "$label" "$log" &
	ticker=$!
	"$@" >"$log" 2>&1 </dev/null || status=$?
	kill $ticker 2>/dev/null || true
	wait $ticker 2>/dev/null || true
	[ ! -t 2 ] || clear='\r\033[K'
	if [ $status = 0 ]; then
		printf "$clear%s: done (%d s)\n" "$label" $((SECONDS - t0)) >&2
		rm -f "$log"
		return 0
	fi
	printf "$clear%s: failed (exit status %d); last lines of %s:\n" "$label" $status "$log" >&2
	tail -n 15 "$log" | sed 's/^/  /' >&2
	return $status
}

# Names of the packages that are needed: all without a tag, and those with the tag $1.
_setup_wanted() {
	sed 's/#.*//' "$SETUP_ROOT/images/packages" |
		awk -v tag="${1:-}" 'NF == 1 || NF && $2 == tag { print $1 }'
}

_setup_missing() {
	local installed

	installed=$(dpkg-query -W -f '${db:Status-Abbrev} ${Package}\n' | sed -n 's/^ii *//p')
	_setup_wanted "${1:-}" | grep -vxF -f <(printf '%s\n' "$installed")
}

setup_packages() {
	local missing install

	if ! command -v dpkg-query apt-get >/dev/null; then
		echo "setup: no dpkg and apt-get: this project is built on Debian 12" >&2
		return 1
	fi
	mapfile -t missing < <(_setup_missing "${1:-}")
	[ ${#missing[@]} -gt 0 ] || return 0
	install=(apt-get install -y --no-install-recommends "${missing[@]}")
	if [ "$(id -u)" != 0 ]; then
		echo "setup: missing packages: ${missing[*]}" >&2
		echo "setup: install them as root, then run this again:" >&2
		echo "  apt-get update && ${install[*]}" >&2
		return 1
	fi
	progress 'Debian: package index' apt-get update || return
	DEBIAN_FRONTEND=noninteractive progress "Debian: ${#missing[@]} packages" "${install[@]}"
}

_setup_fetch() {
	"$SETUP_ROOT/images/kernel/fetch" >"$1"
}

setup_kernel() {
	local out status=0

	out=$(mktemp) || return 1
	progress "Debian's cloud kernel" _setup_fetch "$out" || status=$?
	# shellcheck disable=SC2034 # the caller's
	SETUP_KERNEL=$(cat "$out")
	rm -f "$out"
	return $status
}

setup_build() {
	local dir=$1 variant=$2 options

	shift 2
	case $variant in
	release) options=(-DCMAKE_BUILD_TYPE=Release) ;;
	asan) options=(-DCMAKE_BUILD_TYPE=Debug -DQUARK_SANITIZE=ON) ;;
	coverage) options=(-DCMAKE_BUILD_TYPE=Debug -DQUARK_COVERAGE=ON) ;;
	fuzz) options=(-DCMAKE_BUILD_TYPE=Release -DQUARK_FUZZ=ON -DCMAKE_C_COMPILER=clang) ;;
	*)
		echo "setup: no build variant '$variant'" >&2
		return 1
		;;
	esac
	progress "configure ($variant)" cmake -S "$SETUP_ROOT" -B "$dir" -G Ninja "${options[@]}" \
		"$@" || return
	progress "build ($variant)" ninja -C "$dir"
}

setup_host_mode() {
	"$1/bin/quark" doctor --json | sed -n 's/.*"host_mode":[[:space:]]*"\([a-z]*\)".*/\1/p'
}
