#!/bin/sh
# Builds the wheel and the archive of the sources into dist, in an environment of its own: what builds them needs a packaging
# newer than Rasa 3.6 allows.
set -eu
cd "$(dirname "$0")/.."

echo "Building the wheel and the sources' archive ..."
rm -rf dist .venv/dist
.venv/bin/python -m venv .venv/dist
{
    .venv/dist/bin/python -m pip --disable-pip-version-check install --quiet 'build>=1.2' \
        && .venv/dist/bin/python -m build --outdir dist .
} >.venv/dist.log 2>&1 || {
    tail -5 .venv/dist.log >&2
    echo "Building failed. The whole output is in .venv/dist.log." >&2
    exit 1
}
ls dist/*
