# After readwrite.sh, and what may have come in between: everything is removed, and nothing is left.

# Removing while listing, as rm -r does, leaves nothing behind.
crowd_goes() {
  started=$(milliseconds)
  rm -r crowd
  note '3,000 files removed, ms' $(($(milliseconds) - started))
  refused test -e crowd
}

empties() {
  find . -mindepth 1 -maxdepth 1 -exec rm -rf {} +
  forget
  same "$(ls -A)" ''
}

check 'a directory of 3,000 names goes at once' crowd_goes
check 'the emptied export is empty' empties
