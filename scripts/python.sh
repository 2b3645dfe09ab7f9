#!/bin/sh
# Print the path of a Python that can run this project and make virtual environments.
#
#   scripts/python.sh [name ...]    names to try, in order, after $PYTHON
#
# On failure, one line on standard error says what is missing.
set -u

[ $# -gt 0 ] || set -- python3 python3.13 python3.12 python3.11

without_venv=
for name in ${PYTHON:+"$PYTHON"} "$@"; do
    # The name may be a shim without a Python behind it, so it must be run.
    path=$("$name" -I -c '
import sys
if sys.version_info >= (3, 11):
    print(sys.executable)' 2>/dev/null) || continue
    [ -n "$path" ] || continue
    # venv needs ensurepip, which Debian and Ubuntu have in a separate package.
    if "$path" -I -c 'import ensurepip, venv' 2>/dev/null; then
        printf '%s\n' "$path"
        exit 0
    fi
    without_venv=${without_venv:-$path}
done

if [ -n "$without_venv" ]; then
    version=$("$without_venv" -I -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    echo "$without_venv cannot make virtual environments:" \
        "install its venv module (Debian, Ubuntu: apt-get install python$version-venv)." >&2
else
    echo "Python 3.11 or newer is needed and none was found (tried ${PYTHON:+$PYTHON }$*):" \
        "install one, or set PYTHON to its path." >&2
fi
exit 1
