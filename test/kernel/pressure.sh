# Server and client in one machine with little memory: what is written waits in the client for a
# server on the same machine, whose own disk must take it before a page of the client is free again.
# The grid is the test's, at the end of a tunnel that is closed for most of the time.
MNT=/mnt/nfs
mkdir -p "$MNT" /disk /ballast
at=/ # the checks' own folder must not keep the mount busy, nor a dead server hang them
export NODE_COMPILE_CACHE=/tmp/compiled # an emulated machine takes ten seconds to read our sources

tahoe_nfs() { node /project/bin/tahoe-nfs.js "$@"; }

opens_tunnel() {
  node /project/test/kernel/tunnel.ts "$GATEWAY_PORT" >/tmp/tunnel 2>&1 &
  echo $! >/tmp/tunnel.pid
  until grep -q open /tmp/tunnel; do sleep 0.2; done
}

serves() { tahoe_nfs mount --grid "gateway:http://127.0.0.1:$GATEWAY_PORT/" --root-file /job/root --state /disk/state "$MNT"; }

# Not asked for with `status`: starting Node takes seconds here.
server() { cat /disk/state/pid; }

# megabytes FROM TO: no two alike.
megabytes() {
  [ -e /tmp/block ] || head -c 1048568 /dev/urandom >/tmp/block
  number=$1
  while [ "$number" -lt "$2" ]; do
    printf '%08d' "$number"
    cat /tmp/block
    number=$((number + 1))
  done
}

memory() { sed -n "s/^$1: *\([0-9]*\) kB/\1/p" /proc/meminfo; }

begins() {
  mke2fs -i 1048576 /dev/vda
  mount -t ext4 /dev/vda /disk
  sync
  # All of the memory but this much is taken, and not given back; the server takes half of the rest.
  mount -t tmpfs -o size=100% none /ballast
  head -c "$(($(memory MemAvailable) - (320 << 10)))k" /dev/zero >/ballast/file
  opens_tunnel
  serves
  mountpoint -q "$MNT"
  ls -A "$MNT"
  kill "$(cat /tmp/tunnel.pid)"
}

writes_on() {
  least=$(memory MemAvailable)
  note 'memory available at first, MiB' $((least >> 10))
  [ "$least" -lt $((BYTES >> 10)) ]
  started=$(milliseconds)
  megabytes 0 $((BYTES >> 20)) | dd of="$MNT/large" bs=1M iflag=fullblock conv=fsync status=none &
  writing=$!
  while kill -0 $writing 2>/dev/null; do
    sleep 2
    ls "$MNT" >/dev/null # others are served meanwhile
    now=$(memory MemAvailable)
    [ "$now" -ge "$least" ] || least=$now
  done
  wait $writing
  note "$((BYTES >> 20)) MiB written and synced, ms" $(($(milliseconds) - started))
  note 'least memory available meanwhile, MiB' $((least >> 10))
  same "$(stat -c %s "$MNT/large")" "$BYTES"
}

reads_back() {
  forget
  for at in 0 1 31 32 33 $(((BYTES >> 20) - 1)); do
    megabytes "$at" $((at + 1)) >/tmp/want
    dd if="$MNT/large" bs=1M skip="$at" count=1 status=none | cmp - /tmp/want
  done
  rm "$MNT/large"
}

# Both files are open when the server dies: no close has made anything durable. One was written a
# moment ago, the other is being written to.
dirty_survives() {
  exec 5>"$MNT/open"
  megabytes 6000 6003 >&5
  megabytes 5000 5024 >"$MNT/dirty" &
  writing=$!
  until [ -s "$MNT/dirty" ]; do sleep 0.1; done
  sleep 1
  note 'not yet durable at the kill, KiB' $(($(memory Dirty) + $(memory Writeback)))
  kill -9 "$(server)"
  sleep 2
  kill -0 $writing # it waits
  serves
  megabytes 6003 6006 >&5
  wait $writing
  exec 5>&-
  sync
  forget
  megabytes 5000 5024 | cmp - "$MNT/dirty"
  megabytes 6000 6006 | cmp - "$MNT/open"
}

grid_has() {
  listing "$MNT" >/tmp/listing
  opens_tunnel
  tahoe_nfs umount --wait "$MNT"
  refused mountpoint -q "$MNT"
  show /tmp/listing 'compare with the grid'
}

nothing_failed() {
  same "$(dmesg | grep -E 'Out of memory|oom-kill|blocked for more than|allocation failure' || :)" ''
  same "$(complaints)" ''
}

check 'a server with its state on a disk mounts, and its grid goes away' begins
mountpoint -q "$MNT" || exit 1 # nothing below may be judged on the folder underneath
check 'far more is written than memory holds, and nobody waits for ever' writes_on
check 'what was written is read back' reads_back
check 'what is dirty in the client survives kill -9 of the server and a takeover' dirty_survives
check 'umount --wait ends when the grid is back and has all of it' grid_has
check 'nothing ran out of memory, and nothing hung' nothing_failed
