# What ordinary programs do to a folder, over the kernel's NFS client, on an export that is empty
# at first and may be written. Every comparison that matters is made after the client's own
# cache was dropped, so that it is the server's answer. What is left is for the scripts that follow.
MNT=/mnt/nfs
mkdir -p "$MNT"

# make_tree DIR: some 200 files of many sizes, with links, modes and times that are not all alike.
make_tree() {
  mkdir -p "$1/deep/er/est" "$1/empty" "$1/naïve ünïcode" "$1/many"
  i=0
  for size in 0 1 511 512 4095 4096 4097 65535 65536 262145 1048577; do
    head -c $size /dev/urandom >"$1/size-$size"
  done
  while [ $i -lt 180 ]; do
    head -c $((i * 37)) /dev/urandom >"$1/many/file $i"
    i=$((i + 1))
  done
  echo inner >"$1/deep/er/est/inner.txt"
  echo 'with spaces' >"$1/naïve ünïcode/日本語 file"
  ln -s deep/er "$1/link to a directory"
  ln -s '../size-512' "$1/deep/link to a file"
  ln -s 'nowhere/at all' "$1/dangling"
  ln "$1/size-4097" "$1/deep/second name"
  chmod 600 "$1/size-1"
  chmod 755 "$1/size-511"
  chmod 444 "$1/size-512"
  chmod 700 "$1/empty"
  touch -d '2001-02-03 04:05:06.123456789 UTC' "$1/size-0"
  touch -h -d '1999-12-31 23:59:59.5 UTC' "$1/dangling"
  touch -d '2010-10-10 10:10:10.000000001 UTC' "$1/deep" "$1/empty"
}

# equal A B: the same names, kinds, modes, times, links and bytes.
equal() {
  diff -r --no-dereference "$1" "$2"
  shape "$1" >/tmp/shape.a
  shape "$2" >/tmp/shape.b
  diff /tmp/shape.a /tmp/shape.b
}

mounts() {
  mount_here
  mountpoint -q "$MNT"
  grep " $MNT nfs " /proc/mounts
  same "$(ls -A "$MNT")" ''
}

copies() {
  make_tree /tmp/tree
  cp -a /tmp/tree copied
  forget
  equal /tmp/tree copied
}

plain_copy() {
  cp -r copied again
  forget
  diff -r --no-dereference /tmp/tree again
  forget
  cp -r again /tmp/back
  diff -r --no-dereference /tmp/tree /tmp/back
  rm -r /tmp/back
}

moves() {
  cp -r copied moving
  mkdir elsewhere
  mv moving/many elsewhere/
  mv moving/size-1 moving/size-one
  mv moving/size-0 moving/size-4096 # over a file
  mv moving/empty moving/deep/er/est/ # and deeper
  mkdir hollow full
  echo x >full/x
  mv -T full hollow # over an empty directory
  refused mv -T elsewhere hollow
  forget
  diff -r copied/many elsewhere/many
  refused test -e moving/many
  cmp copied/size-1 moving/size-one
  refused test -e moving/size-1
  same "$(stat -c %s moving/size-4096)" 0
  test -d moving/deep/er/est/empty
  same "$(cat hollow/x)" x
  refused test -e full
}

keeps_open_directory() {
  mkdir before
  (
    cd before
    mv ../before ../after
    echo kept >inside
  )
  forget
  same "$(cat after/inside)" kept
}

removes() {
  rm -rf moving again elsewhere hollow after
  forget
  same "$(ls -A)" copied
}

tar_out() {
  tar -C copied --format=posix -cf /tmp/out.tar . # the format that has nanoseconds
  mkdir /tmp/untarred
  tar -C /tmp/untarred -xpf /tmp/out.tar
  equal /tmp/tree /tmp/untarred
}

tar_in() {
  mkdir tarred
  tar -C tarred -xpf /tmp/out.tar
  forget
  equal /tmp/tree tarred
  tar -C tarred -df /tmp/out.tar
}

links() {
  mkdir links
  cd links
  echo first >a
  ln a b
  echo second >>b
  same "$(stat -c %h a)" 2
  same "$(stat -c %i a)" "$(stat -c %i b)"
  rm a
  forget
  same "$(cat b)" "$(printf 'first\nsecond')"
  same "$(stat -c %h b)" 1
  long=$(printf 'x/%.0s' $(seq 500))
  ln -s "$long" l
  forget
  same "$(readlink l)" "$long"
  refused ln b l
  refused ln -s y b
}

sizes() {
  printf 0123456789 >sized
  printf abc >>sized
  same "$(cat sized)" 0123456789abc
  truncate -s 4 sized
  truncate -s 8 sized
  forget
  same "$(od -An -c sized | tr -s ' ')" ' 0 1 2 3 \0 \0 \0 \0'
  truncate -s 5G sized
  forget
  same "$(stat -c %s sized)" 5368709120
  printf end | dd of=sized bs=1 seek=5368709117 conv=notrunc status=none
  forget
  same "$(tail -c 4 sized | od -An -c | tr -s ' ')" ' \0 e n d'
  : >sized
  forget
  same "$(stat -c %s sized)" 0
  rm sized
}

attributes() {
  echo x >attributes
  chmod 640 attributes
  touch -d '2020-02-02 02:02:02.020202020 UTC' attributes
  forget
  same "$(stat -c '%a %Y %y' attributes)" '640 1580608922 2020-02-02 02:02:02.020202020 +0000'
  touch attributes
  forget
  [ "$(stat -c %Y attributes)" -gt 1700000000 ]
  # Every change is seen as one, however soon after the last.
  first=$(stat -c %y attributes)
  echo y >>attributes
  sync attributes
  forget
  refused same "$(stat -c %y attributes)" "$first"
  chown 0:0 attributes
  refused chown 12345 attributes
  rm attributes
}

exclusive() {
  set -C
  echo mine >lock
  (echo theirs >lock) && return 1
  set +C
  forget
  same "$(cat lock)" mine
  rm lock
}

open_and_removed() {
  mkdir silly
  head -c 300000 /dev/urandom >silly/file
  cp silly/file /tmp/silly.want
  exec 4<silly/file 5>>silly/file
  rm silly/file
  ls -A silly | grep -q '^\.nfs'
  echo more >&5
  echo more >>/tmp/silly.want
  exec 5>&-
  echo 1 >/proc/sys/vm/drop_caches
  cat <&4 | cmp - /tmp/silly.want
  exec 4<&-
  forget
  same "$(ls -A silly)" ''
  rmdir silly
}

repository() {
  export GIT_AUTHOR_NAME=t GIT_AUTHOR_EMAIL=t@example.org GIT_COMMITTER_NAME=t GIT_COMMITTER_EMAIL=t@example.org
  git init -q repo
  cp -r /tmp/tree/deep repo/
  mkdir repo/many
  cp /tmp/tree/many/'file '? /tmp/tree/many/'file 1'? repo/many/
  cd repo
  git add .
  git commit -qm first
  echo changed >>many/'file 3'
  git rm -q many/'file 4'
  git mv many/'file 5' many/'file five'
  git commit -qam second
  forget
  git fsck --full --strict
  same "$(git status --porcelain)" ''
  same "$(git log --format=%s | tr '\n' ' ')" 'second first '
  git gc -q --prune=now
  same "$(git count-objects)" '0 objects, 0 kilobytes' # none is loose any more
  forget
  git fsck --full --strict
  git clone -q --no-hardlinks . ../cloned
  cd ..
  diff -r --no-dereference --exclude=.git repo cloned
  rm -rf cloned
}

database() {
  sqlite3 base.db 'create table t(a integer primary key, b text);'
  sqlite3 base.db "with recursive n(i) as (select 1 union all select i + 1 from n where i < 2000) insert into t select i, hex(randomblob(40)) from n;"
  sqlite3 base.db 'update t set b = b || a where a % 7 = 0; delete from t where a % 11 = 0;'
  forget
  same "$(sqlite3 base.db 'pragma integrity_check; select count(*) from t;' | tr '\n' ' ')" 'ok 1819 '
  i=0
  while [ $i -lt 10 ]; do
    sqlite3 base.db "begin; insert into t values(100000 + $i, 'kept'); commit; begin; delete from t where a > 100; rollback;"
    i=$((i + 1))
  done
  forget
  same "$(sqlite3 base.db 'pragma integrity_check; select count(*) from t;' | tr '\n' ' ')" 'ok 1829 '
  refused test -e base.db-journal
}

mirrors() {
  rsync -a /tmp/tree/ mirror/
  forget
  same "$(rsync -a --itemize-changes --delete /tmp/tree/ mirror/)" ''
  rm -rf mirror
}

big_file() {
  head -c 67108864 /dev/urandom >/tmp/big
  sum=$(sha256sum </tmp/big)
  started=$(milliseconds)
  dd if=/tmp/big of=big bs=1M conv=fsync status=none
  note '64 MiB written and synced, ms' $(($(milliseconds) - started))
  forget
  started=$(milliseconds)
  same "$(sha256sum <big)" "$sum"
  note '64 MiB read, ms' $(($(milliseconds) - started))
}

# scatter: small writes all over both copies of the large file.
scatter() {
  for at in 3 16383 9999 16385 1 8191 8192 17000; do
    for file in /tmp/big big; do
      printf 'scattered %s' "$at" | dd of=$file bs=4093 seek=$at conv=notrunc status=none
    done
  done
}

scattered_writes() {
  scatter
  forget
  cmp /tmp/big big
  dd if=big iflag=direct bs=1M status=none | cmp - /tmp/big
  printf '%4096s' direct >/tmp/block
  dd if=/tmp/block of=big oflag=direct bs=4096 seek=7 conv=notrunc status=none
  dd if=/tmp/block of=/tmp/big bs=4096 seek=7 conv=notrunc status=none
  cmp /tmp/big big
}

many_names() {
  mkdir crowd
  cd crowd
  started=$(milliseconds)
  seq -f 'name-%05g' 3000 | tee /tmp/names | xargs touch
  note '3,000 files created, ms' $(($(milliseconds) - started))
  forget
  started=$(milliseconds)
  ls -f | grep -v '^\.\.*$' | sort | diff - /tmp/names
  ls -l | tail -n +2 | wc -l | grep -x 3000
  note '3,000 names listed twice, ms' $(($(milliseconds) - started))
}

names() {
  mkdir names
  long=$(printf 'n%.0s' $(seq 255))
  echo x >"names/$long"
  refused touch "names/${long}n"
  touch 'names/ leading' 'names/trailing ' 'names/-dash' "names/quote'\"" 'names/back\slash' 'names/*'
  forget
  same "$(ls -A names | wc -l)" 7
  same "$(cat "names/$long")" x
}

measures() {
  same "$(find copied -type f | wc -l)" "$(find /tmp/tree -type f | wc -l)"
  same "$(find copied -type l | wc -l)" 3
  same "$(find copied -type f -printf '%s\n' | sort -n | tail -n 1)" 1048577
  [ "$(du -sk copied | cut -f1)" -ge 1400 ]
  [ "$(df -k . | tail -n 1 | tr -s ' ' | cut -d ' ' -f 2)" -gt 0 ]
}

locks() {
  echo x >locked
  exec 6<locked
  flock -n 6
  refused flock -n locked true
  exec 6<&-
  flock -n locked true
  rm locked
}

stranger() {
  cat copied/size-65536 >/dev/null # root has it cached now
  refused su mallory -s /bin/sh -c "ls $MNT/copied"
  refused su mallory -s /bin/sh -c "cat $MNT/copied/size-65536"
  refused su mallory -s /bin/sh -c "echo x >$MNT/copied/stranger"
  refused su mallory -s /bin/sh -c "rm -f $MNT/copied/size-0"
  test -e copied/size-0
}

check 'the script mounts the export' mounts
mountpoint -q "$MNT" || exit 1 # nothing below may be judged on the folder underneath
check 'cp -a keeps bytes, modes, times, links and symlinks' copies
check 'cp -r copies within the mount' plain_copy
check 'mv moves files and directories, over what may be replaced and not over what may not' moves
check 'a directory keeps its handle across mv' keeps_open_directory
check 'rm -rf leaves nothing' removes
check 'tar reads the tree as it is' tar_out
check 'tar unpacks with modes, times, links and symlinks' tar_in
check 'a link is the same file under a second name, and a long symlink is kept' links
check 'append, truncate and holes read as written' sizes
check 'modes and times to the nanosecond are kept, and a new owner is refused' attributes
check 'an exclusive creation wins once' exclusive
check 'a file removed while open reads on, and is gone after' open_and_removed
check 'git commits, collects garbage, clones and finds no fault' repository
check 'sqlite keeps a database whole' database
check 'rsync finds nothing to do the second time' mirrors
check '64 MiB come back as they were written' big_file
check 'writes scattered over a file land where they should, with and without a cache' scattered_writes
check '3,000 names are created and listed whole' many_names
check 'names may be 255 bytes long and of any characters' names
check 'find, du and df count what is there' measures
check 'flock holds within this machine' locks
check 'another user is refused, also what root has in the cache' stranger
