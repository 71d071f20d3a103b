#!/bin/sh
# Runs the tests that need no Rasa on newer Pythons, with SQLAlchemy 2: test_core.sh 3.11,3.12,3.13 [what pytest is given]
# Each version has an environment of its own, .venv-3.12, with the versions of constraints-core.txt. A version that isn't on this
# machine is skipped, and the last lines say so.
set -u
cd "$(dirname "$0")/.."

versions=$(echo "$1" | tr ',' ' ')
shift

find_python() {
    for found in "$(command -v "python$1" 2>/dev/null)" "${PYENV_ROOT:-$HOME/.pyenv}"/versions/"$1".*/bin/python; do
        # a pyenv shim may be there for a version that isn't chosen in this folder
        if [ -x "$found" ] && "$found" -c "import sys, venv, ensurepip; sys.exit('%d.%d' % sys.version_info[:2] != '$1')" >/dev/null 2>&1; then
            echo "$found"
            return 0
        fi
    done
    return 1
}

install() {
    "$1/bin/python" -m pip --disable-pip-version-check install --quiet --upgrade 'pip>=25.1' \
        && "$1/bin/python" -m pip --disable-pip-version-check install --quiet -c constraints-core.txt --group core -e '.[server]'
}

failed=0
summary=""
for version in $versions; do
    if ! python=$(find_python "$version"); then
        summary="$summary
Python $version: SKIPPED, it isn't on this machine (pyenv install $version, or your system's package)"
        continue
    fi
    folder=.venv-$version
    wanted=$(cat pyproject.toml constraints-core.txt tools/test_core.sh | cksum)
    if [ "$(cat "$folder/installed-from" 2>/dev/null)" != "$wanted" ]; then
        echo "Making $folder with $python ..."
        if ! { "$python" -m venv --clear "$folder" && install "$folder" && echo "$wanted" >"$folder/installed-from"; }; then
            summary="$summary
Python $version: FAILED, its packages couldn't be installed"
            failed=1
            continue
        fi
    fi
    echo "== Python $version"
    if "$folder/bin/python" -m pytest -q -n 2 -p no:cacheprovider "$@"; then
        summary="$summary
Python $version: passed"
    else
        summary="$summary
Python $version: FAILED"
        failed=1
    fi
done
echo "$summary"
exit "$failed"
