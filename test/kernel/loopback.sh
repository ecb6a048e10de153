# Server and client in one machine, over its own loopback: the commands as a user gives them.
# The grid is the test's, at the end of a tunnel; /job/root holds the root cap, /job/tree a copy.
MNT=/mnt/nfs
mkdir -p "$MNT" /mnt/below
at=/ # the checks' own folder must not keep the mount busy, nor a dead server hang them
export NODE_COMPILE_CACHE=/tmp/compiled # an emulated machine takes ten seconds to read our sources

tunnel() {
  node /project/test/kernel/tunnel.ts "$GATEWAY_PORT" >/tmp/tunnel 2>&1 &
  until grep -q open /tmp/tunnel; do sleep 0.2; done
}

tahoe_nfs() { node /project/bin/tahoe-nfs.js "$@"; }

serves() { tahoe_nfs mount --grid "gateway:http://127.0.0.1:$GATEWAY_PORT/" --root-file /job/root --state /root/state "$MNT"; }

# said FIELD: a number or a string from what `status --json` says.
said() { tahoe_nfs status --json "$MNT" | sed -n 's/^ *"'"$1"'": "\{0,1\}\([^",]*\)"\{0,1\},\{0,1\}$/\1/p' | head -n 1; }

# Where it does not matter who says it: starting Node takes seconds here.
server() { cat /root/state/pid; }

begins() {
  serves
  mountpoint -q "$MNT"
  ls -A "$MNT"
}

status_tells() {
  same "$(said mountpoint)" "$MNT"
  kill -0 "$(said pid)"
  tahoe_nfs status
}

tree() {
  diff -r /job/tree "$MNT/tree"
  same "$(sha256sum <"$MNT/big" | cut -d ' ' -f 1)" "$BIG_SUM"
}

stranger_calls() {
  cat "$MNT/tree/file-1" >/dev/null # root has it in the cache now
  refused su mallory -s /bin/sh -c "cat $MNT/tree/file-1"
  refused su mallory -s /bin/sh -c "ls $MNT/tree"
  refused su mallory -s /bin/sh -c "ls $MNT/tree/file-1" # a lookup
  forget
  refused su mallory -s /bin/sh -c "cat $MNT/tree/file-1"
  cat "$MNT/tree/file-1" >/dev/null
}

# A call of NFS's NULL: last fragment of 40 bytes, xid 1, CALL, RPC 2, 100003, version 3, NULL, AUTH_NONE twice.
null_call() {
  printf '\200\0\0\050\0\0\0\1\0\0\0\0\0\0\0\2\0\1\206\243\0\0\0\3\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0'
}

# answered USER: the bytes that USER's own connection gets for that call.
answered() {
  null_call >/tmp/null
  chmod 644 /tmp/null
  su "$1" -s /bin/sh -c "(cat /tmp/null; sleep 2) | nc -w 4 127.0.0.1 $port | wc -c" 2>/dev/null
}

stranger_connects() {
  port=$(said address)
  port=${port##*:}
  same "$(answered root)" 28
  same "$(answered mallory)" 0
}

# Something reads; the server dies; the reader waits; a new server takes over; the reader goes on.
survives() {
  forget
  inode=$(stat -c %i "$MNT/big")
  exec 4<"$MNT/big"
  dd bs=65536 count=16 iflag=fullblock status=none <&4 >/tmp/read
  kill -9 "$(server)"
  forget
  (
    cat <&4 >>/tmp/read
    echo $? >/tmp/read.status
  ) &
  sleep 3
  refused test -e /tmp/read.status # it waits, and has not failed
  serves
  wait
  exec 4<&-
  same "$(cat /tmp/read.status)" 0
  same "$(sha256sum </tmp/read | cut -d ' ' -f 1)" "$BIG_SUM"
  rm /tmp/read
  forget
  same "$(stat -c %i "$MNT/big")" "$inode"
  diff -r /job/tree "$MNT/tree"
}

ends() {
  pid=$(server)
  tahoe_nfs umount "$MNT"
  refused mountpoint -q "$MNT"
  refused kill -0 "$pid"
  refused tahoe_nfs umount "$MNT"
}

busy() {
  serves
  sleep 1000 <"$MNT/tree/file-1" &
  holder=$!
  refused tahoe_nfs umount "$MNT" 2>/tmp/busy.err
  grep "$MNT is in use by [^ ]* ($holder);" /tmp/busy.err
  mountpoint -q "$MNT"
  cat "$MNT/tree/file-1" >/dev/null # and is served as before
  kill $holder
  wait $holder || :
  tahoe_nfs umount "$MNT"
}

# Debian's busybox shell prefers its own programs: a script that needs others shows it here.
script_alone() {
  # Not by the function: a signal would end its subshell and leave Node.
  node /project/bin/tahoe-nfs.js serve --grid "gateway:http://127.0.0.1:$GATEWAY_PORT/" --root-file /job/root --state /root/state --listen 127.0.0.1:2999 >/tmp/serve.out 2>/tmp/serve.err &
  server=$!
  i=0
  until grep -q 'serving 127.0.0.1:2999' /tmp/serve.out; do
    i=$((i + 1))
    [ $i -le 60 ] || {
      cat /tmp/serve.out /tmp/serve.err
      return 1
    }
    sleep 1
  done
  for shell in dash 'busybox sh'; do
    $shell /project/scripts/mount-nfs.sh mount 127.0.0.1 2999 / "$MNT"
    diff -r /job/tree "$MNT/tree"
    $shell /project/scripts/mount-nfs.sh mount 127.0.0.1 2999 /tree /mnt/below
    diff -r /job/tree /mnt/below
    $shell /project/scripts/mount-nfs.sh umount /mnt/below
    $shell /project/scripts/mount-nfs.sh umount "$MNT"
    refused mountpoint -q "$MNT"
  done
  kill $server
  wait $server
}

# Its server is gone for good: the mount can still be given up.
given_up() {
  serves
  kill -9 "$(server)"
  refused timeout 30 node /project/bin/tahoe-nfs.js umount "$MNT"
  timeout 90 node /project/bin/tahoe-nfs.js umount --force "$MNT"
  refused mountpoint -q "$MNT"
}

tunnel
check 'mount mounts and goes to the background' begins
mountpoint -q "$MNT" || exit 1 # nothing below may be judged on the folder underneath
check 'status tells which process serves what' status_tells
check 'a tree and a large file are equal' tree
check 'another user is refused, also what root has in the cache' stranger_calls
check 'another user who connects gets no answer' stranger_connects
check 'a reader goes on after kill -9 of the server and a takeover' survives
check 'umount unmounts and ends the server' ends
check 'a busy mount is not unmounted and goes on' busy
check 'the script mounts and unmounts by itself, also in the shell of busybox' script_alone
check 'a mount whose server is gone can be given up' given_up
