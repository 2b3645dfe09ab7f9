#!/bin/sh
# Make a virtual environment with this project and its extras in it, or bring it up to date.
#
#   scripts/venv.sh DIR REQUIREMENT...      run from the root of the repository
#
# Nothing is done, in milliseconds, when DIR was made from the same pyproject.toml, requirements
# and place. A failed or interrupted install leaves no stamp, so the next call does it again.
# PYTHON_NAMES: the Pythons to try, for a requirement that does not work with the newest.
set -eu

dir=$1
shift
stamp=$dir/.installed
# The place counts since an editable install and the scripts in bin/ hold absolute paths; what is
# compared is content and not time, since git gives every checked-out file a new time.
state=$(printf '%s\n' "$(pwd)" "$*" && cksum <pyproject.toml)

if [ -x "$dir/bin/python" ] && [ -f "$stamp" ] && [ "$state" = "$(cat "$stamp")" ]; then
    exit 0
fi

# An environment whose Python has gone, is too old or has no pip is not worth repairing.
if ! "$dir/bin/python" -I -c 'import sys, pip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
    # shellcheck disable=SC2086 # names, without spaces
    python=$("$(dirname "$0")/python.sh" ${PYTHON_NAMES:-})
    echo "Creating $dir with $("$python" --version) ($python)" >&2
    "$python" -I -m venv --clear "$dir"
fi

rm -f "$stamp"
echo "Installing the project and what it needs into $dir (a few minutes the first time) ..." >&2
# Settings that send packages elsewhere than into the environment they are installed from.
unset PIP_USER PIP_TARGET PIP_PREFIX PIP_ROOT PIP_REQUIRE_VIRTUALENV PYTHONHOME PYTHONPATH
started=$(date +%s)
"$dir/bin/python" -m pip install --quiet --disable-pip-version-check "$@"
printf '%s\n' "$state" >"$stamp"
echo "Installed in $(($(date +%s) - started)) s." >&2
