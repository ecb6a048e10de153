# The end of a guest that has mounted something.

quiet() { same "$(complaints)" ''; }

unmounts() {
  cd /
  umount_here
  refused mountpoint -q "$MNT"
}

check 'the kernel has nothing to complain about' quiet
check 'the script unmounts' unmounts
