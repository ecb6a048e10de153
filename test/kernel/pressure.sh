# Server and client in one machine with little memory: what is written waits for a server that needs
# memory itself to take it. The state is on a disk of the machine's own; the grid is the test's, at
# the end of a tunnel that is closed for most of the time.
MNT=/mnt/nfs
mkdir -p "$MNT" /disk
at=/ # the checks' own folder must not keep the mount busy, nor a dead server hang them

tahoe_nfs() { node /project/bin/tahoe-nfs.js "$@"; }

opens_tunnel() {
  setsid node /project/test/kernel/tunnel.ts "$GATEWAY_PORT" >/tmp/tunnel 2>&1 &
  echo $! >/tmp/tunnel.pid
  until grep -q open /tmp/tunnel; do sleep 0.2; done
}

serves() { tahoe_nfs mount --grid "gateway:http://127.0.0.1:$GATEWAY_PORT/" --root-file /job/root --state /disk/state "$MNT"; }

# Without asking it: a command of Node's takes seconds here.
server() { cat /disk/state/pid; }

# pattern FROM TO: megabytes of text, no two alike.
pattern() {
  i=$1
  while [ "$i" -lt "$2" ]; do
    yes "megabyte $i" | head -c 1048576
    i=$((i + 1))
  done
}

begins() {
  mke2fs -q -i 1048576 /dev/vda >/dev/null 2>&1 || mke2fs -i 1048576 /dev/vda
  mount -t ext4 /dev/vda /disk
  opens_tunnel
  serves
  mountpoint -q "$MNT"
  ls -A "$MNT"
  kill "$(cat /tmp/tunnel.pid)"
}

memory() { sed -n "s/^$1: *\([0-9]*\) kB/\1/p" /proc/meminfo; }

writes_on() {
  [ "$(memory MemTotal)" -lt $((BYTES / 2048)) ] # at least twice as much is written as there is
  started=$(milliseconds)
  pattern 0 $((BYTES >> 20)) | dd of="$MNT/large" bs=1M iflag=fullblock conv=fsync status=none &
  writing=$!
  least=$(memory MemAvailable)
  while kill -0 $writing 2>/dev/null; do
    sleep 2
    ls -l "$MNT" >/dev/null # others are served meanwhile
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
  for i in 0 1 31 32 33 500 $(((BYTES >> 20) - 1)); do
    pattern "$i" $((i + 1)) >/tmp/want
    dd if="$MNT/large" bs=1M skip="$i" count=1 status=none | cmp - /tmp/want
  done
  rm "$MNT/large"
}

# The writer keeps its file open: no close makes anything durable before the server dies.
dirty_survives() {
  (pattern 5000 5096 >"$MNT/dirty") &
  writing=$!
  until [ -s "$MNT/dirty" ]; do sleep 0.1; done
  sleep 1
  note 'not yet durable at the kill, KiB' $(($(memory Dirty) + $(memory Writeback)))
  kill -9 "$(server)"
  sleep 2
  kill -0 $writing # it waits
  serves
  wait $writing
  sync
  forget
  pattern 5000 5096 | cmp - "$MNT/dirty"
}

# Written and acknowledged, but neither closed nor synced.
unstable_survives() {
  exec 5>"$MNT/unstable"
  pattern 6000 6003 >&5
  sync -d /dev/null || :
  kill -9 "$(server)"
  serves
  pattern 6003 6006 >&5
  exec 5>&-
  forget
  pattern 6000 6006 | cmp - "$MNT/unstable"
}

grid_has() {
  opens_tunnel
  tahoe_nfs flush --wait "$MNT"
  forget
  listing "$MNT" >/tmp/listing
  show /tmp/listing 'compare with the grid'
}

ends() {
  tahoe_nfs umount --wait "$MNT"
  refused mountpoint -q "$MNT"
  same "$(dmesg | grep -E 'Out of memory|oom-kill|blocked for more than' || :)" ''
}

check 'a server on a disk of its own mounts, and its grid goes away' begins
mountpoint -q "$MNT" || exit 1 # nothing below may be judged on the folder underneath
check 'far more than there is memory is written, and nobody waits for ever' writes_on
check 'what was written is read back' reads_back
check 'what is dirty in the client survives kill -9 of the server and a takeover' dirty_survives
check 'what was written and not synced survives kill -9 of the server and a takeover' unstable_survives
check 'all of it reaches the grid when that is back' grid_has
check 'the mount ends, and nothing ran out of memory' ends
