#!/usr/bin/env bash
# usage: benchmarks/peers/environments.sh FOLDER: an environment per peer there, FOLDER/nixtla and so on, 5 GB in all.
# Most cap pandas below 3, so none of them goes into tsforce's own.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "${1:?name a folder for the environments}"
for file in "$here"/requirements-*.txt; do
    name=$(basename "$file" .txt)
    "${PYTHON:-python3}" -m venv "$1/${name#requirements-}"
    "$1/${name#requirements-}/bin/pip" install --quiet --disable-pip-version-check -r "$file"
done
