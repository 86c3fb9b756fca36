# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# clients.sh: what the tests with real clients of run0 share. Sourced, first of all. The test then runs
# as the first process of a PID namespace and in a mount namespace with a /run and a /etc/containers of
# its own: it sees nothing of clients that this machine uses itself, and whatever goes wrong, no process
# and no mount stays.
set -uo pipefail

[ "$(id -u)" = 0 ] || { echo 'skipped: needs root'; exit 77; }
if [ "${CLIENTS_ALONE:-}" != 1 ]; then
	CLIENTS_ALONE=1 exec unshare --mount --pid --fork --kill-child --mount-proc \
		--propagation private "$0" "$@"
fi
unset CLIENTS_ALONE
mount -t tmpfs -o mode=755 none /run || exit 1
mkdir -p /etc/containers
mount -t tmpfs -o mode=755 none /etc/containers || exit 1

# shellcheck source=tests/lib.sh
source "${QUARK_SOURCE:?run this through tests/run}/tests/lib.sh" || exit 1

passed=0
skipped=0
unique=quark-${scratch##*.} # a name of this test's for cgroups
# After a failure there may be containers, also frozen ones: their end would wait for ever.
clean_up() {
	local pid folder

	for folder in $(cgroups_left); do
		[ ! -e "$folder/freezer.state" ] || echo THAWED >"$folder/freezer.state"
		[ ! -e "$folder/cgroup.freeze" ] || echo 0 >"$folder/cgroup.freeze"
	done 2>/dev/null
	for pid in $(processes | awk '{print $1}'); do
		kill -KILL "$pid" 2>/dev/null
	done
	awk -v folder="$scratch/" 'index($5, folder) == 1 {print $5}' /proc/self/mountinfo | tac |
		xargs -r -d '\n' -n 1 umount -l
	wait_for 5 remove_cgroups
	rm -rf --one-file-system "$scratch"
}
trap clean_up EXIT

need() {
	local program

	for program; do
		command -v "$program" >/dev/null || { echo "skipped: needs $program"; exit 77; }
	done
}

# check NAME: runs that function, in this shell.
check() {
	current=$1
	"$1"
	passed=$((passed + 1))
	echo "ok: $1"
}
current=setup

# skip NAME REASON
skip() {
	skipped=$((skipped + 1))
	echo "skipped: $1: $2"
}

summary() {
	echo "$passed passed, $skipped skipped"
}

die() {
	echo "FAILED: $current: $*" >&2
	exit 1
}

# Of cgroups: "v2", "v1" or "hybrid".
cgroup_layout() {
	if [ "$(stat -f -c %T /sys/fs/cgroup)" = cgroup2fs ]; then
		echo v2
	elif [ -e /sys/fs/cgroup/unified/cgroup.procs ]; then
		echo hybrid
	else
		echo v1
	fi
}

# use_view VIEW: "host" is this machine's cgroups as they are, "v1" without the v2 hierarchy of hybrid
# ones. Sets `layout`.
use_view() {
	layout=$(cgroup_layout)
	[ "$1" = host ] && return
	[ "$1" = v1 ] || die "no view '$1'"
	[ "$layout" != v2 ] || { echo 'skipped: this machine has no cgroups v1'; exit 77; }
	[ "$layout" = v1 ] || umount /sys/fs/cgroup/unified || die 'cannot hide the v2 hierarchy'
	layout=v1
}

# has_controller NAME: v1 name of a controller that limits can be set with here.
has_controller() {
	case $layout in
	v2) grep -qw "$1" /sys/fs/cgroup/cgroup.controllers ;;
	*) [ -e "/sys/fs/cgroup/$1/cgroup.procs" ] ;;
	esac
}

# limit NAME CONTROLLER...: a check that needs these (v1 names; v2 can freeze without one).
limit() {
	local name=$1 controller

	shift
	for controller; do
		[ "$layout $controller" = 'v2 freezer' ] || has_controller "$controller" && continue
		skip "$name" "no controller $controller"
		return
	done
	check "$name"
}

# limit_of PID V1-CONTROLLER/FILE V2-FILE: what that file holds for the cgroup of a process.
limit_of() {
	local path

	if [ "$layout" = v2 ]; then
		path=$(sed -n 's/^0:://p' "/proc/$1/cgroup")/$3
	else
		path=/${2%/*}$(sed -n "s/^[0-9]*:${2%/*}://p" "/proc/$1/cgroup")/${2#*/}
	fi
	cat "/sys/fs/cgroup$path"
}

cgroups_left() {
	find /sys/fs/cgroup -depth -type d -path "*/$unique*" 2>/dev/null
}

remove_cgroups() {
	local folder

	for folder in $(cgroups_left); do
		rmdir "$folder" 2>/dev/null
	done
	[ -z "$(cgroups_left)" ]
}

# Every process but the test itself and what it has just started for this.
processes() {
	ps -e -o pid=,ppid=,args= | awk -v test="$0" \
		'$1 != 1 && !index($0, test) && $3 != "ps" && $3 != "awk" && $3 != "grep"'
}

# with_terminal COMMAND...: it has a terminal of 33 rows and 77 columns, of which the output is kept in
# $scratch/out. No end of file on standard input: clients stop copying output at that.
with_terminal() {
	local want=$1 got=0 line

	shift
	printf -v line '%q ' "$@"
	mkfifo "$scratch/keys"
	exec {keys}<>"$scratch/keys"
	rm "$scratch/keys"
	script -qec "stty rows 33 cols 77; $line" /dev/null <&"$keys" >"$scratch/raw" 2>&1 || got=$?
	exec {keys}>&-
	tr -d '\r' <"$scratch/raw" >"$scratch/out"
	[ "$got" = "$want" ] || { cat "$scratch/out" >&2; die "exit status $got instead of $want: $*"; }
}

# Shell commands: clients tell the terminal's size only when the process runs already.
# shellcheck disable=SC2016,SC2034 # for a shell in the container
await_size='until [ "$(stty size)" = "33 77" ]; do sleep 0.1; done 2>/dev/null'

# make_image: $scratch/image.tar, a docker archive of localhost/box:1, with a static busybox.
make_image() {
	local root=$scratch/image/root busybox applet sum

	busybox=$(command -v busybox)
	! ldd "$busybox" >/dev/null 2>&1 || { echo 'skipped: needs busybox-static'; exit 77; }
	mkdir -p "$root"/{bin,dev,etc,proc,root,run,sys,tmp}
	cp "$busybox" "$root/bin/busybox"
	for applet in $("$busybox" --list); do
		[ "$applet" = busybox ] || ln -s busybox "$root/bin/$applet"
	done
	echo 'root:x:0:0:root:/root:/bin/sh' >"$root/etc/passwd"
	echo 'root:x:0:' >"$root/etc/group"
	tar -C "$root" --owner 0 --group 0 --numeric-owner -cf "$scratch/image/layer.tar" .
	sum=$(sha256sum "$scratch/image/layer.tar")
	cat >"$scratch/image/config.json" <<-END
	{"architecture": "amd64", "os": "linux",
	 "config": {"Env": ["PATH=/bin"], "Cmd": ["sh"]},
	 "rootfs": {"type": "layers", "diff_ids": ["sha256:${sum%% *}"]},
	 "history": [{"created_by": "a test"}]}
	END
	echo '[{"Config": "config.json", "RepoTags": ["localhost/box:1"], "Layers": ["layer.tar"]}]' \
		>"$scratch/image/manifest.json"
	tar -C "$scratch/image" -cf "$scratch/image.tar" manifest.json config.json layer.tar
}

# install_run0 FOLDER: run0 and what it needs, where every user may reach it.
install_run0() {
	mkdir -p "$1/bin" "$1/libexec/quark"
	cp "$QUARK_BUILD/bin/run0" "$1/bin/"
	cp "$QUARK_BUILD/libexec/quark/run0" "$1/libexec/quark/"
}
