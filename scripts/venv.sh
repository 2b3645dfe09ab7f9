#!/bin/sh
# Create a virtual environment with this project and its extras, or update it.
#
#   scripts/venv.sh DIR REQUIREMENT...      run from the root of the repository
#
# If DIR was created from the same pyproject.toml, requirements and path, the script ends within
# milliseconds. A failed or interrupted install leaves no stamp, so the next call repeats it.
# PYTHON_NAMES: the Pythons to try, for a requirement that does not work with the newest one.
set -eu

dir=$1
shift
stamp=$dir/.installed
# The path is part of the state because an editable install and the scripts in bin/ hold absolute
# paths. File contents are compared, not times, because git gives checked-out files new times.
state=$(printf '%s\n' "$(pwd)" "$*" && cksum <pyproject.toml)

if [ -x "$dir/bin/python" ] && [ -f "$stamp" ] && [ "$state" = "$(cat "$stamp")" ]; then
    exit 0
fi

# Replace an environment whose Python is missing, is too old or has no pip.
if ! "$dir/bin/python" -I -c 'import sys, pip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
    # shellcheck disable=SC2086 # several names, without spaces in them
    python=$("$(dirname "$0")/python.sh" ${PYTHON_NAMES:-})
    echo "Creating $dir with $("$python" --version) ($python)" >&2
    "$python" -I -m venv --clear "$dir"
fi

rm -f "$stamp"
echo "Installing the project and what it needs into $dir (a few minutes the first time) ..." >&2
# These settings would install packages elsewhere than in the environment.
unset PIP_USER PIP_TARGET PIP_PREFIX PIP_ROOT PIP_REQUIRE_VIRTUALENV PYTHONHOME PYTHONPATH
started=$(date +%s)
"$dir/bin/python" -m pip install --quiet --disable-pip-version-check "$@"
printf '%s\n' "$state" >"$stamp"
echo "Installed in $(($(date +%s) - started)) s." >&2
