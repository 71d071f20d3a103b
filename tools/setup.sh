#!/bin/sh
# Makes .venv and installs the package with the tested pins; again only when the pins or the metadata changed.
set -eu
cd "$(dirname "$0")/.."

stamp=.venv/installed-from
wanted=$(cat pyproject.toml constraints.txt tools/setup.sh | cksum)
if [ -x .venv/bin/python ] && [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ]; then
    exit 0
fi

if ! .venv/bin/python -c 'import sys; sys.exit(sys.version_info[:2] != (3, 10))' 2>/dev/null; then
    python=$(sh tools/python310.sh)
    echo "Making .venv with $python ..."
    "$python" -m venv --clear .venv
fi

echo "Installing the package with the tested versions (the first time this takes some minutes and 3 GB) ..."
# Dependency groups need pip 25.1; some of Rasa's own dependencies come as sources and need setuptools and wheel.
.venv/bin/python -m pip install --quiet --upgrade 'pip>=25.1' wheel -c constraints.txt
.venv/bin/python -m pip install -c constraints.txt --group test -e '.[rasa,server]'
echo "$wanted" > "$stamp"
