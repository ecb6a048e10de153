# What the harness's own test compares line by line.
fails() {
  echo before
  false
  echo after
}
hand() { ask something by hand; }
real() {
  mount.nfs -V
  git --version
  [ "$(readlink /bin/sh)" = dash ]
  tar --version | grep GNU
  echo --version | xargs cp | grep coreutils
  sqlite3 :memory: 'select 1'
  rsync --version | grep protocol
}
check 'a command that succeeds' true
check 'a command that fails in its middle' fails
check 'the words of the environment' same "$WORD" "it's"
check 'a question that is answered' ask count this
check 'a question that is refused' ask refuse this
check 'a question answered by hand' hand
check 'the real programs are there' real
note figure 42
exit 7
