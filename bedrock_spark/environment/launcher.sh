#!/bin/bash
# Python @VERSION@ of this machine, with the packages of the folder above. Holds no path of the
# machine that made it. BEDROCK_SPARK_PYTHON: the Python to use, if none of these is the right one.
# spark-submit and Spark's daemon call it by a path, which has a slash.
here=$(cd "${BASH_SOURCE[0]%/*}" && pwd)
tried=()
for python in "${BEDROCK_SPARK_PYTHON:-}" /usr/bin/python@VERSION@ /usr/local/bin/python@VERSION@ \
    "$(type -P python@VERSION@)" "$(type -P python3)"; do
    [ -n "$python" ] || continue
    tried+=("$python")
    # A name may be a shim without a Python behind it, or another version: it must be asked.
    [ "$("$python" -I -S -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)" = @VERSION@ ] ||
        continue
    # By this name, Python finds pyvenv.cfg of the folder above, and so its packages.
    exec -a "$here/python" "$python" "$@"
done
echo "error: no Python @VERSION@ on ${HOSTNAME:-this machine} for $here/python (tried ${tried[*]}):" \
    "install it there, set BEDROCK_SPARK_PYTHON to its path, or build the archive with --python for" \
    "the version that is there" >&2
exit 127
