# After published.sh, over a grid that two servers can have.

# A server that has nothing but the root's cap, mounted beside: a link is a file of its own there,
# and a directory that was changed after its times were set has other times.
elsewhere() {
  mkdir -p /mnt/elsewhere
  (PORT=$OTHER_PORT MNT=/mnt/elsewhere && mount_here --read-only)
  for each in copied tarred links names repo load turns; do
    timeless='s/ d \([0-7]*\) .*/ d \1/'
    [ "$each" != tarred ] || timeless=
    for place in . /mnt/elsewhere; do
      shape "$place/$each" | sed -e 's/ f \([0-7]*\) [0-9]* / f \1 /' -e "$timeless" >"/tmp/shape.${place#/mnt/}"
    done
    diff /tmp/shape.. /tmp/shape.elsewhere
  done
  diff -r --no-dereference links /mnt/elsewhere/links
  diff -r --no-dereference names /mnt/elsewhere/names
  cmp copied/size-1048577 /mnt/elsewhere/copied/size-1048577
  (MNT=/mnt/elsewhere && umount_here)
}

check 'a server elsewhere shows the same names, sizes, modes and times' elsewhere
