#!/bin/sh
# Installs what the scripts beside this file need: outside the source tree, and only when the lock has changed since.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/modelgate/github
installed=$cache/installed-lock.json

if cmp -s "$here/package-lock.json" "$installed"; then
    exit 0
fi
mkdir -p "$cache"
rm -f "$installed"
cp "$here/package.json" "$here/package-lock.json" "$cache"
cd "$cache"
SCARF_ANALYTICS=false npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
cp package-lock.json "$installed"
