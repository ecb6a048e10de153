# What a script in the guest has at hand. Sourced before it; file descriptor 3 is the line to the test.
# Lines are tab-separated: BOOTED, RUN name, CHECK ok|FAIL name ms output(base64), ASK what text(base64, gzip), DONE status.

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
  agreed
}

# show FILE WHAT: the same, and the test is given the file's text.
show() {
  printf 'ASK\t%s\t%s\n' "$2" "$(gzip -c <"$1" | base64 | tr -d '\n')" >&3
  agreed
}

agreed() {
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

# Nothing of what the client believes stays: data, names and attributes are asked again.
forget() {
  sync
  echo 3 >/proc/sys/vm/drop_caches
}

# listing DIR: one line for every name below, sorted: `d PATH`, `l PATH -> TARGET` or `f SHA256 PATH`.
listing() {
  (
    cd "$1"
    find . -mindepth 1 \( -type d -printf 'd %P\n' -o -type l -printf 'l %P -> %l\n' \)
    find . -type f -print0 | xargs -0 -r sha256sum -z | tr '\0' '\n' | sed 's|^\([0-9a-f]*\)  \./|f \1 |'
  ) | sort
}

# shape DIR: every name with kind, mode, size, mtime in nanoseconds (directories' sizes apart), link target.
shape() {
  (cd "$1" && find . \( -type d -printf '%P d %m %T@\n' -o -type l -printf '%P l %T@ %l\n' -o -printf '%P %y %m %n %s %T@\n' \) | sort)
}
