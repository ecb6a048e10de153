# A grid that the test has filled, read over the kernel's NFS client. /job has copies, checksums
# and lists of what must be there; see tahoefs.test.ts for who made them.
MNT=/mnt/nfs
mkdir -p "$MNT"

mounts() {
  mount_here
  mountpoint -q "$MNT"
  grep " $MNT nfs " /proc/mounts
}

top() { same "$(ls -A | sort | tr '\n' ' ')" 'big changing crowd tree '; }

tree() {
  started=$(milliseconds)
  diff -r /job/tree tree
  note '200 files compared, ms' $(($(milliseconds) - started))
  same "$(find tree -type f | wc -l)" "$(find /job/tree -type f | wc -l)"
  forget
  cp -r tree /tmp/cp
  diff -r /job/tree /tmp/cp
  tar -cf - tree | tar -C /tmp -xf -
  diff -r /job/tree /tmp/tree
}

big() {
  same "$(stat -c %s big)" "$BIG_SIZE"
  started=$(milliseconds)
  same "$(sha256sum <big | cut -d ' ' -f 1)" "$BIG_SUM"
  note '64 MiB read cold, ms' $(($(milliseconds) - started))
  forget
  started=$(milliseconds)
  same "$(sha256sum <big | cut -d ' ' -f 1)" "$BIG_SUM"
  note '64 MiB read again, ms' $(($(milliseconds) - started))
}

# /job/reads: block size, block number, checksum of that block; the last one reaches over the end.
scattered() {
  forget
  while read -r bs skip sum; do
    same "$bs $skip $(dd if=big bs="$bs" skip="$skip" count=1 status=none | sha256sum | cut -d ' ' -f 1)" "$bs $skip $sum"
    forget
  done </job/reads
  [ "$(wc -l </job/reads)" -ge 20 ]
  same "$(dd if=big bs="$BIG_SIZE" skip=1 count=1 status=none | wc -c)" 0
}

crowd() {
  started=$(milliseconds)
  ls -f crowd | grep -v '^\.\.*$' | sort | diff - /job/names
  note '3,000 names listed, ms' $(($(milliseconds) - started))
  started=$(milliseconds)
  ls -l crowd | tail -n +2 | wc -l | grep -x 3000
  note '3,000 names with attributes, ms' $(($(milliseconds) - started))
  refused test -e crowd/not-there
}

# The test replaces one file, adds one and removes one, past us.
changes() {
  same "$(cat changing/file)" before
  same "$(ls changing | tr '\n' ' ')" 'file removed '
  (ask change the grid)
  started=$(milliseconds)
  i=0
  until [ "$(ls changing | tr '\n' ' ')" = 'added file ' ] && [ "$(cat changing/file)" = 'after, and longer' ]; do
    i=$((i + 1))
    [ $i -le 120 ] || {
      ls -la changing
      cat changing/file
      return 1
    }
    sleep 1
  done
  note 'a change on the grid was seen after, ms' $(($(milliseconds) - started))
  same "$(cat changing/added)" new
  refused cat changing/removed
}

unwritable() {
  refused touch tree/new
  refused mkdir tree/new
  refused rm tree/file-1
  refused mv tree/file-1 tree/file-one
  refused sh -c 'echo x >>tree/file-1'
  refused chmod 600 tree/file-1
  diff -r /job/tree tree
}

stranger() {
  cat tree/file-1 >/dev/null # root has it cached now
  refused su mallory -s /bin/sh -c "ls $MNT/tree"
  refused su mallory -s /bin/sh -c "cat $MNT/tree/file-1"
}

measures() {
  [ "$(du -sk --apparent-size big | cut -f 1)" = $((BIG_SIZE / 1024)) ]
  [ "$(df -k . | tail -n 1 | tr -s ' ' | cut -d ' ' -f 2)" -gt 0 ]
}

check 'the script mounts the grid' mounts
mountpoint -q "$MNT" || exit 1 # nothing below may be judged on the folder underneath
check 'the root has the names it was given' top
check 'a tree of 200 files is equal by diff, cp and tar' tree
check 'a file of 64 MiB is equal, cold and again' big
check 'reads anywhere in it give the bytes of that place' scattered
check 'a directory of 3,000 names is listed whole' crowd
check 'a change on the grid is seen when the listing has lived' changes
check 'what may not be written is refused and stays as it was' unwritable
check 'another user is refused, also what root has in the cache' stranger
check 'du and df count' measures
