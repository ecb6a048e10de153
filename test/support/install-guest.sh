#!/bin/sh
# Gets what test/kernel needs to run a Linux guest: QEMU on this machine, and in
# build/guest, unpacked but never installed, a Debian kernel and the programs the guest runs.
#
#   build/guest/root     the packages' files as Debian lays them out
#   build/guest/kernel   the kernel's release, one line: names boot/vmlinuz-* and lib/modules/*
#
# Nothing of nfs-common is installed here: its rpcbind would take port 111 of this machine.
# Quick when all is there already. Needs Debian or Ubuntu; root, or sudo, if QEMU is missing.
set -eu

here=$(cd "$(dirname "$0")/../.." && pwd)
guest=$here/build/guest

# What the guest runs. Libraries follow by themselves.
packages='busybox-static dash kmod nfs-common mount util-linux coreutils diffutils findutils tar git sqlite3 rsync xfsprogs attr libstdc++6 libgcc-s1'

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi
}

if ! command -v apt-get >/dev/null; then
  echo 'install-guest: this needs apt-get (Debian or Ubuntu)' >&2
  exit 1
fi

updated=
update() {
  [ -n "$updated" ] || as_root apt-get -qq update
  updated=yes
}

if ! command -v qemu-system-x86_64 >/dev/null; then
  update
  as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends qemu-system-x86 >/dev/null
fi

# The stamp is written last, and says for which list of packages.
stamp=$guest/complete
if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$packages" ]; then
  echo "install-guest: $guest is complete"
  exit 0
fi

update

# linux-image-cloud-amd64 is empty: the kernel is what it depends on.
kernel=$(apt-cache depends linux-image-cloud-amd64 | sed -n 's/^ *Depends: \(linux-image-[0-9].*\)/\1/p' | head -n 1)
if [ -z "$kernel" ]; then
  echo 'install-guest: this distribution has no linux-image-cloud-amd64' >&2
  exit 1
fi

# What $@ depends on, libraries only: the guest has no package manager, no perl, no daemons.
libraries_of() {
  apt-cache depends --no-recommends --no-suggests --no-conflicts --no-breaks --no-replaces --no-enhances "$@" |
    sed -n 's/^ *|\{0,1\}\(Pre\)\{0,1\}Depends: \(z\{0,1\}lib[^:<>]*\)\(:.*\)\{0,1\}$/\2/p' |
    grep -v -e '-perl$' | sort -u
}

all=$packages
fresh=$packages
while [ -n "$fresh" ]; do
  # shellcheck disable=SC2086 # lists of package names
  found=$(libraries_of $fresh)
  fresh=
  for library in $found; do
    case " $all " in
      *" $library "*) ;;
      *) all="$all $library" fresh="$fresh $library" ;;
    esac
  done
done

# Beside the old one, so that a broken download leaves what worked.
new=$guest.new
rm -rf "$new"
mkdir -p "$new/deb" "$new/root"
# apt drops its privileges to _apt, who may not write here; it then says so at length and goes on as root.
# shellcheck disable=SC2086
(cd "$new/deb" && apt-get -qq -o APT::Sandbox::User="$(id -un)" download $all "$kernel")
for deb in "$new"/deb/*.deb; do
  dpkg -x "$deb" "$new/root"
done
rm -rf "$new/deb" "$new/root/usr/share/doc" "$new/root/usr/share/man" "$new/root/usr/share/locale"

# Which module needs which is not in the package: Debian writes modules.dep when it installs a kernel.
release=${kernel#linux-image-}
ln -s kmod "$new/root/bin/depmod" # kmod is whom its name says
LD_LIBRARY_PATH=$new/root/lib/x86_64-linux-gnu:$new/root/usr/lib/x86_64-linux-gnu "$new/root/bin/depmod" -b "$new/root" "$release"

printf '%s\n' "$release" >"$new/kernel"
printf '%s\n' "$packages" >"$new/complete"
rm -rf "$guest"
mv "$new" "$guest"
echo "install-guest: $guest is complete, Linux $(cat "$guest/kernel")"
