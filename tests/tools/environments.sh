#!/bin/sh
# Gives each list of requirements in a folder a virtual environment of its own, and only what has changed:
# environments.sh REQUIREMENTS FOLDER. PYTHON names another than python3, for lists that are older than it.
set -eu

for requirements in "$1"/*.txt; do
    environment=$2/$(basename "$requirements" .txt)
    if cmp -s "$requirements" "$environment/installed.txt"; then
        continue
    fi
    rm -rf "$environment"
    "${PYTHON:-python3}" -m venv "$environment"
    "$environment/bin/pip" install --quiet --disable-pip-version-check --requirement "$requirements"
    cp "$requirements" "$environment/installed.txt"
done
