#!/bin/sh
# Installs the servers and clients of tests that are no Python, and only what has changed: install.sh FOLDER.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1"
cd "$1"

if ! cmp -s "$here/azurite/package-lock.json" azurite/installed-lock.json; then
    rm -rf azurite
    cp -r "$here/azurite" azurite
    npm ci --prefix azurite --ignore-scripts --no-audit --no-fund --loglevel=error
    ln -s node_modules/.bin azurite/bin
    cp "$here/azurite/package-lock.json" azurite/installed-lock.json
fi

# Where the machine has no Git LFS, that of its distribution, which need not be installed to be run.
if ! [ -x git-lfs/bin/git-lfs ]; then
    rm -rf git-lfs
    mkdir -p git-lfs/bin
    installed=$(command -v git-lfs || true)
    if [ -z "$installed" ]; then
        cd git-lfs
        apt-get download git-lfs || { apt-get update && apt-get download git-lfs; }
        dpkg-deb --extract git-lfs_*.deb .
        cd ..
        installed=../usr/bin/git-lfs
    fi
    ln -s "$installed" git-lfs/bin/git-lfs
fi
