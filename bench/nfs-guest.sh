# In the guest: what programs get of the kernel's NFS client, and of a tmpfs for comparison. Every
# time is a note: WHERE, what was done, milliseconds. Its clock counts hundredths of a second.
# $MIB: of the large file; $FILES: in the directory that is listed, which is $MNT/tree already.
MNT=/mnt/nfs
TMPFS=/mnt/tmpfs
mkdir -p "$MNT" "$TMPFS"

# timed WHERE WHAT COMMAND…
timed() {
  where=$1 what=$2
  shift 2
  started=$(milliseconds)
  "$@" >/dev/null || exit 1
  note "$where $what" $(($(milliseconds) - started))
}

write() { dd if=/dev/zero of=large bs=1M count="$MIB" conv=fsync 2>/dev/null; }
lines() { dd if=/dev/zero of=lines bs=4k count="$((MIB * 16))" conv=fsync 2>/dev/null; }
read_it() { dd if=large of=/dev/null bs=1M 2>/dev/null; }
make() { (cd made && seq 500 | xargs touch); }
look() { (cd made && seq 500 | xargs stat); }
remove() { (cd made && seq 500 | xargs rm); }
list() { ls -lR tree; }

# rates WHERE
rates() {
  timed "$1" write write
  timed "$1" 'read kept' read_it
  forget
  timed "$1" 'read dropped' read_it
  timed "$1" lines lines
  rm large lines
  mkdir made
  timed "$1" create make
  timed "$1" stat look
  timed "$1" unlink remove
  rmdir made
  forget
  timed "$1" 'ls cold' list
  timed "$1" 'ls warm' list
}

mount -t tmpfs none "$TMPFS"
cd "$TMPFS" || exit 1
for dir in 0 1 2 3 4 5 6 7 8 9; do
  mkdir -p "tree/$dir"
  (cd "tree/$dir" && seq "$((FILES / 10))" | xargs touch)
done
rates tmpfs

mount_here || exit 1
cd "$MNT" || exit 1
rates nfs
cd /
umount_here
