#!/bin/sh
# Installs a real Tahoe-LAFS node for the tests, in build/tahoe of this checkout.
# Quick when it is already there. Needs a Python from 3.9 to 3.12 (3.13 has lost a
# module that Tahoe imports) with its venv module; set PYTHON to choose one.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
venv="$root/build/tahoe"
pins="$here/tahoe-constraints.txt"

# The stamp says which pins were installed, and is written last.
if [ -x "$venv/bin/tahoe" ] && cmp -s "$pins" "$venv/installed-from.txt"; then
  exit 0
fi

fits() {
  "$1" -c 'import sys, venv, ensurepip; sys.exit(not (3, 9) <= sys.version_info[:2] <= (3, 12))' >/dev/null 2>&1
}

python=
for candidate in ${PYTHON:+"$PYTHON"} python3 python3.12 python3.11 python3.10 python3.9; do
  if fits "$candidate"; then
    python=$candidate
    break
  fi
done
if [ -z "$python" ]; then
  echo "install-tahoe: needs Python 3.9 to 3.12 with venv (Debian: apt-get install python3-venv), or PYTHON=/path/to/python" >&2
  exit 1
fi

mkdir -p "$root/build"
rm -rf "$venv"
"$python" -m venv "$venv"
"$venv/bin/pip" install --quiet --disable-pip-version-check --constraint "$pins" tahoe-lafs==1.20.0
cp "$pins" "$venv/installed-from.txt"
