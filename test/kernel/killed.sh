# After readwrite.sh, over a grid: kill -9 of the server in the midst of work, on a hard mount. The
# test kills it and starts it anew on the same port; programs wait, and nothing of theirs is lost.

# 300 files, and a large one in their middle: cp takes them in the order they were made in.
make_load() {
  mkdir /tmp/load
  i=0
  while [ $i -lt 300 ]; do
    [ $i != 150 ] || head -c 67108864 /dev/urandom >/tmp/load/large
    head -c $((i * 97)) /dev/urandom >"/tmp/load/file-$i"
    i=$((i + 1))
  done
}

copies_on() {
  make_load
  started=$(milliseconds)
  cp -r /tmp/load load 2>/tmp/cp.err &
  copying=$!
  for part in 20 151 151 280; do
    until [ "$(ls load 2>/dev/null | wc -l)" -ge $part ] || ! kill -0 $copying; do sleep 0.1; done
    [ $part != 151 ] || sleep 0.5 # within the large one
    ask kill the server
  done
  wait $copying
  same "$(cat /tmp/cp.err)" ''
  sync
  note '300 files and 64 MiB copied through four kills, ms' $(($(milliseconds) - started))
  forget
  diff -r /tmp/load load
}

# Calls that may not be done twice: what was done before the kill is answered, not refused.
names_on() {
  mkdir turns
  (
    set -eu
    cd turns
    i=0
    while [ $i -lt 60 ]; do
      (set -C && echo "$i" >"made-$i")
      ln "made-$i" "linked-$i"
      mv "made-$i" "moved-$i"
      ln -s "moved-$i" "symlink-$i"
      rm "linked-$i"
      mkdir "dir-$i"
      mv "moved-$i" "dir-$i/"
      [ $((i % 3)) = 0 ] || rm -r "dir-$i"
      i=$((i + 1))
      echo $i >/tmp/turn
    done
  ) 2>/tmp/turns.err &
  turning=$!
  for part in 5 25 45; do
    until [ "$(cat /tmp/turn 2>/dev/null || echo 0)" -ge $part ] || ! kill -0 $turning; do sleep 0.05; done
    ask kill the server
  done
  wait $turning
  same "$(cat /tmp/turns.err)" ''
  forget
  same "$(ls turns | wc -l)" 80 # 60 symlinks, and every third directory
  i=0
  while [ $i -lt 60 ]; do
    same "$(readlink "turns/symlink-$i")" "moved-$i"
    [ $((i % 3)) != 0 ] || same "$(cat "turns/dir-$i/moved-$i")" "$i"
    i=$((i + 1))
  done
}

# git and sqlite, who fsync what they rely on.
programs_on() {
  export GIT_AUTHOR_NAME=t GIT_AUTHOR_EMAIL=t@example.org GIT_COMMITTER_NAME=t GIT_COMMITTER_EMAIL=t@example.org
  (
    set -eu
    cd repo
    for i in 1 2 3 4; do
      echo "$i" >"kept-$i"
      git add "kept-$i"
      git commit -qm "through a kill $i"
    done
    sqlite3 ../base.db "create table s(a); begin; insert into s select a from t; commit;"
  ) >/tmp/programs.out 2>&1 &
  working=$!
  sleep 1
  ask kill the server
  wait $working || {
    cat /tmp/programs.out
    return 1
  }
  forget
  git -C repo fsck --full --strict
  same "$(git -C repo status --porcelain)" ''
  same "$(sqlite3 base.db 'pragma integrity_check; select count(*) from s;' | tr '\n' ' ')" 'ok 1829 '
}

publishes_on() {
  ask publish while killing
  forget
  diff -r /tmp/load load
}

check 'cp goes on through kill -9 of the server, and every byte is right' copies_on
check 'names that are made, linked, moved and removed through kill -9 are done once' names_on
check 'git and sqlite go on through kill -9 of the server' programs_on
check 'what waits is published through kill -9 of the server, and of the node' publishes_on
