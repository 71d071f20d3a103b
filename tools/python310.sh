#!/bin/sh
# Prints the path of a Python 3.10: on PATH, else pyenv's, else uv's (which it may fetch). Rasa 3.6 runs on no newer one.

is_310() {
    "$1" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info[:2] != (3, 10))' >/dev/null 2>&1
}

for name in python3.10 python3 python; do
    found=$(command -v "$name" 2>/dev/null) || continue
    if is_310 "$found"; then
        # a pyenv shim would choose again in another folder
        "$found" -c 'import sys; print(sys.executable)'
        exit 0
    fi
done

if command -v pyenv >/dev/null 2>&1; then
    for found in "$(pyenv root)"/versions/3.10*/bin/python; do
        if is_310 "$found"; then
            echo "$found"
            exit 0
        fi
    done
fi

if command -v uv >/dev/null 2>&1; then
    found=$(uv python find 3.10 2>/dev/null) || {
        echo "Fetching Python 3.10 with uv ..." >&2
        uv python install 3.10 >&2 && found=$(uv python find 3.10 2>/dev/null)
    }
    if [ -n "$found" ] && is_310 "$found"; then
        echo "$found"
        exit 0
    fi
fi

echo "No Python 3.10 was found, which Rasa 3.6 needs. Install it, or install uv (it fetches one), and run make again." >&2
exit 1
