#!/bin/sh
# The guest's first and only process: brings up what an NFS client needs, runs /job/run.sh,
# says how it ended, and powers off. ttyS0 is the console; ttyS1 is the line to the test.
mount -t devtmpfs none /dev
mount -t proc none /proc
mount -t sysfs none /sys
export PATH=/usr/sbin:/usr/bin HOME=/root LC_ALL=C.UTF-8
while read -r module; do insmod "$module"; done </etc/modules
ifconfig lo 127.0.0.1 up
ifconfig eth0 10.0.2.15 netmask 255.255.255.0 up
[ -e /dev/fd ] || ln -s /proc/self/fd /dev/fd

exec 3<>/dev/ttyS1
stty -F /dev/ttyS1 raw -echo
echo BOOTED >&3
cd /job || poweroff -f
setsid sh -c '. ./env.sh; . ./checks.sh; . ./run.sh' </dev/null
printf 'DONE\t%s\n' "$?" >&3
# What was written to the line is still in the port's buffer.
read -r _ <&3
poweroff -f
