# After readwrite.sh, over a grid: what was written is published, changed once it is there, and
# published again. The test does the publishing, and compares with what the node's own web API says.

publishes() {
  started=$(milliseconds)
  ask publish
  note 'published after, ms' $(($(milliseconds) - started))
  forget
  equal /tmp/tree copied
  cmp /tmp/big big
}

# change DIR: what lies on the grid is written to, cut, prolonged, renamed, replaced and removed.
change() (
  cd "$1" || return
  printf 'in the middle' | dd of=size-1048577 bs=1 seek=131066 conv=notrunc status=none
  printf 'at the end' >>size-65535
  truncate -s 100000 size-262145
  truncate -s 70000 size-65536
  truncate -s 10 many/'file 179'
  truncate -s 5000 many/'file 179' # zeros, not what was there
  : >size-4095
  chmod 640 size-4096
  # Two change places; one goes over another; a removed name is something else.
  mv size-511 between
  mv size-512 size-511
  mv between size-512
  mv many/'file 101' many/'file 102'
  mv many/'file 103' 'naïve ünïcode'/
  rm many/'file 104'
  mkdir many/'file 104'
  echo inside >many/'file 104'/inside
  rm -r empty
  echo 'no directory' >empty
  ln -sfn size-0 dangling
  mv deep/er moved
  mkdir deep/er
  echo again >deep/er/again
  # Content of a file with two names is changed through one of them, which then goes.
  echo 'by the second name' >>'deep/second name'
  rm size-4097
  seq -f 'many/file %g' 110 140 | tr '\n' '\0' | xargs -0 rm
  find . -exec touch -h -d '2015-05-05 05:05:05.050505050 UTC' {} +
)

changes() {
  change /tmp/tree
  change copied
  forget
  equal /tmp/tree copied
}

changes_large() {
  scatter
  for file in /tmp/big big; do
    truncate -s 41000001 $file
    printf 'over the end' | dd of=$file bs=1 seek=43000000 conv=notrunc status=none
  done
  forget
  cmp /tmp/big big
}

# Twice: what one edit did may be what the next one undoes.
changes_while_publishing() {
  (ask publish) &
  publishing=$!
  i=0
  while [ $i -lt 40 ]; do
    mv "copied/many/file $((i + 20))" "copied/many/file $((i + 20)).new"
    printf '%s' "$i" | dd of=copied/size-1048577 bs=1 seek=$((i * 20000)) conv=notrunc status=none
    mv "copied/many/file $((i + 20)).new" "copied/many/file $((i + 20))"
    printf '%s' "$i" | dd of=/tmp/tree/size-1048577 bs=1 seek=$((i * 20000)) conv=notrunc status=none
    i=$((i + 1))
  done
  wait $publishing
  forget
  diff -r --no-dereference /tmp/tree copied
}

on_grid() {
  ask publish
  forget
  listing . >/tmp/listing
  note 'names on the grid' "$(wc -l </tmp/listing)"
  show /tmp/listing 'compare with the grid'
}

check 'what was written is published, and stays as it was' publishes
check 'what lies on the grid is written to, cut, renamed, replaced and removed' changes
check 'a large file on the grid is written to in places, cut and prolonged' changes_large
check 'what changes while it is published is not lost' changes_while_publishing
check 'the grid has every name, link and byte, and no others' on_grid
