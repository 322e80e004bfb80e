#!/bin/sh
# Gives each of the requirements a virtual environment of its own: install.sh FOLDER, and only what has changed. The tests
# start from it the servers that teams keep models and data on.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
for requirements in "$here"/requirements/*.txt; do
    environment=$1/$(basename "$requirements" .txt)
    if cmp -s "$requirements" "$environment/installed.txt"; then
        continue
    fi
    rm -rf "$environment"
    "${PYTHON:-python3}" -m venv "$environment"
    "$environment/bin/pip" install --quiet --disable-pip-version-check --requirement "$requirements"
    cp "$requirements" "$environment/installed.txt"
done
