#!/bin/sh
# Mounts an NFSv3 server that listens on this machine, and unmounts it; Linux and macOS.
#
#   mount-nfs.sh mount [--read-only] HOST PORT EXPORT MOUNTPOINT
#   mount-nfs.sh print [--read-only] HOST PORT EXPORT MOUNTPOINT
#   mount-nfs.sh umount [--force] [--lazy] MOUNTPOINT
#   mount-nfs.sh check
#
# `print` shows the command of `mount` and runs nothing; `check` says whether this user of
# this machine can mount. HOST is an address: `localhost`
# may mean ::1, where nobody listens. Every port is pinned, so that no portmapper, lock
# manager or status daemon is asked. Exit: 0 done, 1 failed, 2 used wrongly.
#
# A mount whose server has died answers no stat, and who asks waits for ever: whether
# something is mounted is read from the kernel's table, before the path itself is touched.
set -eu
unset CDPATH
PATH=$PATH:/usr/sbin:/sbin # where the helpers are, also for a user who cannot see them

proc=/proc
sys=/sys

die() {
	printf 'mount-nfs.sh: %s\n' "$1" >&2
	exit "${2:-1}"
}

usage() {
	die 'usage: mount-nfs.sh mount|print [--read-only] HOST PORT EXPORT MOUNTPOINT, umount [--force] [--lazy] MOUNTPOINT, or check' 2
}

# The options of Linux's client, nfs(5).
linux_options() {
	tcp=tcp
	case $host in *:*) tcp=tcp6 ;; esac
	opts="vers=3"                        # what the server speaks; without it 4.2, 4.1 and 4.0 are tried first
	opts="$opts,proto=$tcp,port=$port"   # both stated, so that no portmapper is asked where NFS is
	opts="$opts,mountvers=3,mountproto=$tcp,mountport=$port" # the same for MOUNT: one server, one port
	opts="$opts,nolock"                  # locks are kept by this kernel: one client needs no lock manager, and no rpc.statd
	opts="$opts,noacl"                   # no NFSACL program is looked for
	opts="$opts,hard"                    # programs wait for a server that restarts; soft would lose their writes
	opts="$opts,retry=0"                 # the server is there now or it is an error, not two minutes of trying
	opts="$opts,rsize=1048576,wsize=1048576" # the most the client can: fewer calls for the same bytes
	# A directory is taken as it was for up to 20 s by the server, and on top of that by this
	# kernel for up to 30–60 s as it likes. With 3 a change on the grid is seen within 23 s;
	# asking costs little, for attributes are answered by the server without the grid.
	opts="$opts,actimeo=3"
	opts="$opts,nosuid,nodev"            # whoever can write to the grid shall not become root here
	if [ "$read_only" = yes ]; then opts="$opts,ro"; fi
}

# The options of macOS's client, mount_nfs(8).
macos_options() {
	opts="vers=3,tcp"                    # without vers NFS 2 is tried as well
	opts="$opts,port=$port,mountport=$port" # no portmapper is asked
	opts="$opts,locallocks"              # locks are kept by this kernel; nolocks would make them fail
	opts="$opts,hard,intr"               # wait for a server that restarts, and let ^C end the wait
	opts="$opts,retrycnt=0"              # a server that is not there is an error at once
	opts="$opts,mutejukebox"             # "not now" is no lost connection, and no dialog
	opts="$opts,nonegnamecache"          # a name that was missing is asked for again: it may have come on the grid
	opts="$opts,rsize=1048576,wsize=1048576" # 32 KiB otherwise, whatever the server offers
	opts="$opts,readahead=16,dsize=65536" # blocks asked for ahead; bytes of a listing in one answer
	opts="$opts,rdirplus"                # names and attributes in one call
	opts="$opts,actimeo=3"               # as on Linux: a change is seen within the server's 20 s and these
	opts="$opts,nosuid,nodev"            # whoever can write to the grid shall not become root here
	if [ "$read_only" = yes ]; then opts="$opts,rdonly"; fi
}

# Sets `point` to the mount point as the kernel names it. Only its parent is touched.
resolve() {
	path=$1
	case $path in
	'') die 'the mount point has no name' 2 ;;
	*'
'*) die 'a mount point with a line break in its name is not supported' ;;
	esac
	while [ "${path%/}" != "$path" ] && [ "$path" != / ]; do path=${path%/}; done
	name=${path##*/}
	case $path in
	/) point=/ && return ;;
	*/*) parent=${path%/*}/ ;;
	*) parent=./ ;;
	esac
	case $name in . | ..) die "$1: name the mount point by its own name" 2 ;; esac
	parent=$(cd -P "$parent" 2>/dev/null && pwd -P) || die "$1: there is no such directory; make it with: mkdir -p"
	point=${parent%/}/$name
}

# Sets `mounted` to the type of what is mounted at `point`, empty if nothing is, and on Linux `device` to its MAJOR:MINOR.
find_mount() {
	mounted='' device=''
	if [ "$system" = Darwin ]; then
		line=$(mount | grep -F " on $point (" | tail -n 1) || :
		[ -z "$line" ] || { mounted=${line##*" on $point ("} && mounted=${mounted%%[,)]*}; }
		return
	fi
	# As the kernel writes it: blanks and backslashes in octal.
	wanted=$(printf '%s\n' "$point" | sed -e 's/\\/\\134/g' -e 's/ /\\040/g' -e "s/$(printf '\t')/\\\\011/g")
	while read -r _ _ number _ at rest; do
		[ "$at" = "$wanted" ] || continue
		device=$number mounted=${rest##* - } # the last line is the mount on top
		mounted=${mounted%% *}
	done <"$proc/self/mountinfo"
}

# One word as a shell would have to be given it.
quote() {
	case $1 in
	*[!A-Za-z0-9_./:,=@%+-]* | '') printf "'%s'" "$(printf '%s\n' "$1" | sed "s/'/'\\\\''/g")" ;;
	*) printf '%s' "$1" ;;
	esac
}

# $@ is the command from here on.
run() {
	if said=$("$@" 2>&1); then return; fi
	said=$(printf '%s' "$said" | tr '\n' ' ')
	die "$1 failed: ${said:-it did not say why}"
}

check_place() {
	find_mount
	[ -z "$mounted" ] || die "$point: already a mount point ($mounted); unmount it first, or take another directory"
	[ ! -h "$point" ] || die "$point: a symbolic link; name the directory it leads to"
	[ -e "$point" ] || die "$point: there is no such directory; make it with: mkdir -p"
	[ -d "$point" ] || die "$point: not a directory"
}

check_machine() {
	if [ "$system" = Darwin ]; then
		command -v mount_nfs >/dev/null || die 'mount_nfs is missing; it is part of macOS, in /sbin'
		return
	fi
	[ "$(id -u)" = 0 ] || die 'only root may mount NFS on Linux; run it again with sudo'
	command -v mount.nfs >/dev/null || die 'mount.nfs is missing; install nfs-common (Debian, Ubuntu) or nfs-utils (Fedora, Arch, Alpine, SUSE: nfs-client)'
	grep -qw nfs "$proc/filesystems" || modprobe -q nfs 2>/dev/null ||
		die 'this kernel has no NFS client, and no module for one; containers and small virtual machines often have none'
}

# Dirty pages of a mount from this machine are written back through our own server, which
# needs memory and a disk to take them. Left alone they may fill a fifth of memory, and the
# server's own writes then wait for pages that wait for the server. 5 % leaves it room.
limit_dirty_pages() {
	find_mount
	ratio=$sys/class/bdi/$device/max_ratio
	if [ -n "$device" ] && [ -r "$ratio" ] && [ "$(cat "$ratio")" -le 5 ]; then return; fi
	if [ -n "$device" ] && { printf '5\n' >"$ratio"; } 2>/dev/null; then return; fi
	printf 'mount-nfs.sh: mounted, but %s could not be set: heavy writing may slow this machine down\n' "$ratio" >&2
}

do_mount() {
	read_only=no
	while [ $# -gt 0 ]; do
		case $1 in
		-r | --read-only) read_only=yes ;;
		--) shift && break ;;
		-*) usage ;;
		*) break ;;
		esac
		shift
	done
	[ $# = 4 ] || usage
	host=$1 port=$2 export=$3
	case $host in '' | -* | *[!A-Za-z0-9.:_%-]*) die "$host: not an address" 2 ;; esac
	case $port in '' | 0* | *[!0-9]* | ??????*) die "$port: not a port" 2 ;; esac
	[ "$port" -le 65535 ] || die "$port: not a port" 2
	case $export in /*) ;; *) die "$export: an export begins with /" 2 ;; esac
	resolve "$4"
	case $host in *:*) remote="[$host]:$export" ;; *) remote="$host:$export" ;; esac
	if [ "$system" = Darwin ]; then
		macos_options
		set -- mount_nfs -o "$opts" "$remote" "$point"
	else
		linux_options
		set -- mount.nfs "$remote" "$point" -o "$opts"
	fi
	if [ "$verb" = print ]; then
		for word in "$@"; do
			[ "$word" = "$1" ] || printf ' '
			quote "$word"
		done
		printf '\n'
		return
	fi
	check_place
	check_machine
	run "$@"
	if [ "$system" != Darwin ]; then limit_dirty_pages; fi
}

do_umount() {
	force=no lazy=no
	while [ $# -gt 0 ]; do
		case $1 in
		-f | --force) force=yes ;; # give up the calls that wait: what was not yet written is lost
		-l | --lazy) lazy=yes ;;   # out of sight now, gone when nobody uses it
		--) shift && break ;;
		-*) usage ;;
		*) break ;;
		esac
		shift
	done
	[ $# = 1 ] || usage
	resolve "$1"
	find_mount
	case $mounted in
	nfs | nfs4) ;;
	'') die "$point: nothing is mounted there" ;;
	*) die "$point: what is mounted there is $mounted, not NFS" ;;
	esac
	if [ "$system" != Darwin ]; then
		[ "$(id -u)" = 0 ] || die 'only root may unmount NFS on Linux; run it again with sudo'
		set --
		[ "$force" = no ] || set -- "$@" -f
		[ "$lazy" = no ] || set -- "$@" -l
		run umount "$@" "$point"
		return
	fi
	[ "$lazy" = no ] || die 'macOS has no lazy unmount; use --force' 2
	# diskutil asks the Finder and Spotlight to let go, which umount does not.
	if [ "$force" = yes ]; then
		umount -f "$point" 2>/dev/null || run diskutil unmount force "$point"
	else
		umount "$point" 2>/dev/null || run diskutil unmount "$point"
	fi
}

[ $# -gt 0 ] || usage
verb=$1
shift
system=$(uname -s)
case $system in Linux | Darwin) ;; *) die "$system: only Linux and macOS are known here" ;; esac
case $verb in
mount | print) do_mount "$@" ;;
umount) do_umount "$@" ;;
check)
	[ $# = 0 ] || usage
	check_machine
	;;
*) usage ;;
esac
