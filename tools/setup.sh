#!/bin/sh
# Makes .venv with what is asked for, with the tested versions; again only when the pins or the metadata changed.
#   setup.sh         what the demo needs
#   setup.sh lint    that, and the tests' tools
#   setup.sh test    that, and by apt the programs of the system that the tests need (as root; else it says what to install)
# All that can be known to fail is said before anything long begins.
set -eu
cd "$(dirname "$0")/.."

purpose=${1:-demo}
packages=$([ "$purpose" = demo ] && echo demo || echo test)
stamp=.venv/installed-from
wanted=$(cat pyproject.toml constraints.txt tools/setup.sh | cksum)
has=$(cat "$stamp" 2>/dev/null || true)
packages_missing=yes
if [ -x .venv/bin/python ]; then
    case "$has" in "$wanted test" | "$wanted $packages") packages_missing="" ;; esac
fi

programs_missing=""
if [ "$purpose" = test ]; then
    PATH="$PATH:/usr/sbin:/sbin"
    for each in node:nodejs npm:npm nginx:nginx caddy:caddy; do
        command -v "${each%%:*}" >/dev/null 2>&1 || programs_missing="$programs_missing ${each#*:}"
    done
    command -v chromium >/dev/null 2>&1 || command -v chromium-browser >/dev/null 2>&1 \
        || command -v google-chrome >/dev/null 2>&1 || programs_missing=" chromium$programs_missing"
fi
if [ -n "$programs_missing" ] && { [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; }; then
    echo "The tests need programs that aren't here:$programs_missing. Install them (Debian and Ubuntu: sudo apt-get install$programs_missing) and run make test again." >&2
    exit 1
fi
[ -n "$packages_missing$programs_missing" ] || exit 0

python=""
if [ -n "$packages_missing" ] && ! .venv/bin/python -c 'import sys; sys.exit(sys.version_info[:2] != (3, 10))' 2>/dev/null; then
    python=$(sh tools/python310.sh)
fi

if [ -n "$programs_missing" ]; then
    echo "Installing$programs_missing by apt (once, about a minute) ..."
    log=$(mktemp)
    # Their services stay off: the tests start what they need.
    if [ ! -e /usr/sbin/policy-rc.d ]; then
        trap 'rm -f /usr/sbin/policy-rc.d' EXIT
        printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
        chmod +x /usr/sbin/policy-rc.d
    fi
    # shellcheck disable=SC2086
    if ! { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $programs_missing; } \
        </dev/null >"$log" 2>&1; then
        tail -5 "$log" >&2
        echo "apt-get couldn't install$programs_missing; its whole output is in $log." >&2
        exit 1
    fi
    rm -f "$log"
fi
[ -n "$packages_missing" ] || exit 0

if [ -n "$python" ]; then
    echo "Making .venv with $python ..."
    "$python" -m venv --clear .venv
fi
rm -f "$stamp"
log=.venv/setup.log
if [ "$packages" = test ]; then
    set -- --group test -e '.[rasa,server]'
    echo "Installing Rasa, this package and the tests' tools (the first time: 3 to 6 minutes, 3.0 GB) ..."
else
    set -- -e '.[rasa,server]'
    echo "Installing Rasa and this package (the first time: 3 to 6 minutes, 2.7 GB) ..."
fi
# Dependency groups need pip 25.1; some of Rasa's own dependencies come as sources and need setuptools and wheel.
install() {
    .venv/bin/python -m pip --disable-pip-version-check install --progress-bar off -c constraints.txt "$@" 2>&1
    echo "exit $?"
}
{ install --upgrade 'pip>=25.1' wheel && install "$@"; } | awk -v log_file="$log" '
    { print > log_file }
    /^ *(Downloading|Using cached) .*(whl|tar.gz|zip)/ { fetched++; if (fetched % 40 == 0) { print "  " fetched " packages fetched"; fflush() } }
    /^Installing collected packages/ && fetched > 5 { print "  installing them"; fflush() }
    /^exit / && $2 != 0 { failed = 1 }
    END { exit failed }
' || {
    grep -i '^error' "$log" >&2 || tail -5 "$log" >&2
    echo "Installing the packages failed. pip's whole output is in $log." >&2
    exit 1
}
echo "$wanted $packages" >"$stamp"
echo "Ready: .venv has what is needed."
