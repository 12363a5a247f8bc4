#!/usr/bin/env bash
# Make the environment FOLDER from requirements/dev.txt, hashes checked, and install this project editable.
# usage: tools/make_env.sh FOLDER; PYTHON names the interpreter, else the first fit one is taken.
set -euo pipefail
cd "$(dirname "$0")/.."
folder=$1

fit() { # is this a Python that we support?
    "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))' 2>/dev/null
}

python=${PYTHON:-}
if [ -z "$python" ]; then
    for candidate in python3 python3.14 python3.13 python3.12 python3.11; do
        if fit "$candidate"; then
            python=$candidate
            break
        fi
    done
fi
if [ -z "$python" ] || ! fit "$python"; then
    echo "make env: needs Python 3.11 to 3.14 (${PYTHON:-python3} is not one)." >&2
    echo "          Debian 12 and later, Ubuntu 24.04 and later: apt-get install python3 python3-venv" >&2
    exit 1
fi
if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    echo "make env: $python has no venv module. On Debian and Ubuntu it is a package of its own:" >&2
    echo "          apt-get install python${version}-venv" >&2
    exit 1
fi

echo "make env: making $folder with $("$python" -V)"
"$python" -m venv --clear "$folder"
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
"$folder/bin/python" -m pip install --quiet --require-hashes --requirement requirements/dev.txt
"$folder/bin/python" -m pip install --quiet --no-deps --no-build-isolation --no-index --editable .
