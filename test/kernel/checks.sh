# What a script in the guest has at hand. Sourced before it; file descriptor 3 is the line to the test.
# Lines are tab-separated: BOOTED, RUN name, CHECK ok|FAIL name ms output(base64), ASK what, DONE status.

# check NAME COMMAND…: one verdict. The command runs in a subshell under `set -eu`, so that its
# first failing command is the failure; what it prints is shown when it fails. It begins in $at,
# or in the mount.
check() {
  name=$1
  shift
  printf 'RUN\t%s\n' "$name" >&3
  started=$(milliseconds)
  (
    set -eu
    cd "${at:-${MNT:-/}}"
    "$@"
  ) >/tmp/check.out 2>&1 </dev/null
  status=$?
  took=$(($(milliseconds) - started))
  if [ "$status" = 0 ]; then
    verdict=ok
  else
    verdict=FAIL
    echo "status $status" >>/tmp/check.out
  fi
  printf 'CHECK\t%s\t%s\t%s\t%s\n' "$verdict" "$name" "$took" "$(tail -c 4000 /tmp/check.out | base64 | tr -d '\n')" >&3
}

# ask WHAT: tells the test, and waits until it says to go on. The test answers `ok` or why not.
ask() {
  printf 'ASK\t%s\n' "$*" >&3
  read -r answer <&3
  [ "$answer" = ok ] || {
    echo "the test answered: $answer"
    return 1
  }
}

# note NAME VALUE: a figure for the report.
note() {
  printf 'NOTE\t%s\t%s\n' "$1" "$2" >&3
}

milliseconds() {
  read -r up _ </proc/uptime
  echo "${up%.*}${up#*.}0" | sed 's/^0*\(.\)/\1/'
}

# refused COMMAND…: it must fail.
refused() {
  if "$@"; then
    echo "should have been refused: $*"
    return 1
  fi
}

# same A B: two words are equal.
same() {
  [ "$1" = "$2" ] || {
    echo "have: $1"
    echo "want: $2"
    return 1
  }
}

# What this kernel says about NFS when something is wrong with a server: a fileid that changed,
# a directory loop, a reply it could not read, a reply to nothing, a server that does not answer.
complaints() {
  dmesg | grep -E -i 'nfs|rpc|lockd' |
    grep -v -E 'Registered|Registering|FS-Cache|Key type|installing|transport module|file system' || :
}

# mount_here [OPTION…]: the export at $MNT, by the project's own script.
mount_here() {
  sh /project/scripts/mount-nfs.sh mount "$@" "${HOST:-10.0.2.2}" "$PORT" "${EXPORT:-/}" "$MNT"
}

umount_here() {
  sh /project/scripts/mount-nfs.sh umount "$MNT"
}

# sums DIR: every file below with its checksum, in order.
sums() {
  (cd "$1" && find . -type f -print0 | sort -z | xargs -0 sha256sum)
}

# shape DIR: every name with kind, mode, size, mtime in nanoseconds (directories' sizes apart), link target.
shape() {
  (cd "$1" && find . \( -type d -printf '%P d %m %T@\n' -o -type l -printf '%P l %T@ %l\n' -o -printf '%P %y %m %n %s %T@\n' \) | sort)
}
