#!/bin/sh
# Prints the path of a Python 3.10, since Rasa 3.6 runs on no newer one: PYTHON310, on PATH, pyenv's, uv's. If there is none, uv
# fetches one; if there is no uv, pip fetches uv from PyPI first. Both go into the folder .uv, which make clean removes. Where the
# network refuses, this ends within ten seconds.
set -u
cd "${0%/*}/.."

is_310() {
    "$1" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info[:2] != (3, 10))' >/dev/null 2>&1
}

take() {
    # a pyenv shim would choose again in another folder
    "$1" -c 'import sys; print(sys.executable)'
    exit 0
}

give_up() {
    echo "No Python 3.10 was found, which Rasa 3.6 needs, and $1. Install it (pyenv install 3.10, or your system's package)" \
        "and name it if it isn't on PATH (make demo PYTHON310=/path/to/python3.10), or run make where uv can fetch it" \
        "(a mirror of yours: UV_PYTHON_INSTALL_MIRROR)." >&2
    exit 1
}

if [ -n "${PYTHON310:-}" ]; then
    is_310 "$PYTHON310" && take "$PYTHON310"
    echo "PYTHON310 is '$PYTHON310', which is no Python 3.10 with venv: give the path of one, or leave it out." >&2
    exit 1
fi
for name in python3.10 python3 python; do
    found=$(command -v "$name" 2>/dev/null) && is_310 "$found" && take "$found"
done
if command -v pyenv >/dev/null 2>&1; then
    for found in "$(pyenv root)"/versions/3.10*/bin/python; do
        is_310 "$found" && take "$found"
    done
fi

# uv's own settings for downloads, unless somebody has chosen others: one try, and no long wait for a server that doesn't answer.
export UV_HTTP_TIMEOUT="${UV_HTTP_TIMEOUT:-8}" UV_HTTP_RETRIES="${UV_HTTP_RETRIES:-0}"
ours="$PWD/.uv"
uv=$(command -v uv 2>/dev/null) || uv="$ours/bin/uv"
if [ "$uv" = "$ours/bin/uv" ]; then
    export UV_PYTHON_INSTALL_DIR="$ours/python" UV_CACHE_DIR="$ours/cache" PYTHONPATH="$ours"
fi
find_with_uv() {
    [ -x "$uv" ] && found=$("$uv" python find --no-project 3.10 2>/dev/null) && [ -n "$found" ] && is_310 "$found"
}
find_with_uv && take "$found"

if [ ! -x "$uv" ]; then
    python=$(command -v python3 2>/dev/null || command -v python 2>/dev/null) || give_up "there is no other Python to fetch it with"
    echo "No Python 3.10 is here. Fetching uv from PyPI (20 MB), to fetch one ..." >&2
    "$python" -m pip --retries 0 --timeout 5 install --quiet --disable-pip-version-check --target "$ours" uv >/dev/null 2>&1 \
        || give_up "uv, which could fetch one, can't be had from PyPI here (or $python has no pip)"
fi
echo "Fetching Python 3.10 with uv (30 MB) ..." >&2
"$uv" python install --no-bin 3.10 >/dev/null 2>&1 || "$uv" python install 3.10 >/dev/null 2>&1 \
    || give_up "uv can't fetch one here"
find_with_uv && take "$found"
give_up "the one that uv fetched doesn't run here"
