# What every mount must do (test/mounted), over the kernel's client, on an export that is empty. The rules tell
# their verdicts by themselves; $PLAN says which there are.
export MNT=/mnt/nfs
mkdir -p "$MNT"

mounts() {
  mount_here
  mountpoint -q "$MNT"
  same "$(ls -A "$MNT")" ''
}


check 'the script mounts the export' mounts
mountpoint -q "$MNT" || exit 1 # nothing below may be judged on the folder underneath
node /project/test/mounted/run.ts "$MNT" "$PLAN"
