# Sourced by every script: a temporary environment with pinned packages, gone when the script ends.
set -euo pipefail
fold=$(mktemp -d)
trap 'rm -rf "$fold"' EXIT
"${PYTHON:-python3}" -m venv "$fold/env"
with() { "$fold/env/bin/pip" install --quiet --disable-pip-version-check "$@"; }
run() { "$fold/env/bin/python" -; }
