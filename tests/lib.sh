# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# lib.sh: what test scripts share. Sourced. Needs QUARK_BUILD, QUARK_SOURCE and QUARK_HOME, which
# ctest and tests/run set. A script is a list of checks; the first that fails ends it.
set -uo pipefail

lumper=$QUARK_BUILD/bin/lumper
quark=$QUARK_BUILD/bin/quark
guests=$QUARK_BUILD/libexec/quark-tests
# shellcheck disable=SC2034 # the scripts'
templates=$QUARK_HOME/templates
scratch=$(mktemp -d "${TMPDIR:-/tmp}/quark-test.XXXXXX") || exit 1
trap 'rm -rf "$scratch"' EXIT

die() {
	echo "FAILED: $*" >&2
	exit 1
}

# expect STATUS COMMAND...: runs it with stdout in $scratch/out and stderr in $scratch/err, and ends
# the test when its exit status is another one.
expect() {
	local want=$1 got=0

	shift
	"$@" >"$scratch/out" 2>"$scratch/err" </dev/null || got=$?
	[ "$got" = "$want" ] && return 0
	tail -n 20 "$scratch/out" "$scratch/err" >&2
	die "exit status $got instead of $want: $*"
}

# out_has / err_has REGEX: the last expect's output has a line that matches.
out_has() {
	grep -qE -- "$1" "$scratch/out" && return 0
	tail -n 20 "$scratch/out" >&2
	die "no '$1' in the output"
}

err_has() {
	grep -qE -- "$1" "$scratch/err" && return 0
	tail -n 20 "$scratch/err" >&2
	die "no '$1' in the error output"
}

# The last expect printed one line of error, as every refusal must.
err_is_one_line() {
	[ "$(wc -l <"$scratch/err")" = 1 ] && return 0
	cat "$scratch/err" >&2
	die "not one line of error"
}

# out_is TEXT: the output is that, byte for byte.
out_is() {
	printf '%s' "$1" | cmp -s - "$scratch/out" && return 0
	head -c 400 "$scratch/out" >&2
	die "the output is not '$1'"
}

# wait_for SECONDS COMMAND...: until it succeeds.
wait_for() {
	local until=$((SECONDS + $1))

	shift
	while ! "$@"; do
		[ $SECONDS -lt $until ] || return 1
		sleep 0.05
	done
}
