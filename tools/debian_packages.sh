#!/usr/bin/env bash
# The packages that tests use and no Python registry has: a PostgreSQL server, SoftHSM and p11-kit.
#
# As root on Debian and its like it installs what is missing. Anybody else is told what is skipped;
# that is no failure. No database cluster is made and nothing is started: the tests do that.
set -euo pipefail

missing=()
if ! compgen -G '/usr/lib/postgresql/*/bin/initdb' > /dev/null; then
    missing+=(postgresql)
fi
if ! command -v softhsm2-util > /dev/null; then
    missing+=(softhsm2)
fi
if ! compgen -G '/usr/lib*/p11-kit/p11-kit-server' > /dev/null; then
    missing+=(p11-kit p11-kit-modules)
fi
if [[ ${#missing[@]} -eq 0 ]]; then
    exit 0
fi
if [[ $EUID -ne 0 ]] || ! command -v apt-get > /dev/null; then
    echo "not installed: ${missing[*]}. Tests that need one of them are skipped" >&2
    exit 0
fi

export DEBIAN_FRONTEND=noninteractive
apt-get update -q
if [[ " ${missing[*]} " == *" postgresql "* ]]; then
    apt-get install -q -y --no-install-recommends postgresql-common
    sed -i -E "s/^#? *create_main_cluster *=.*/create_main_cluster = false/" \
        /etc/postgresql-common/createcluster.conf
fi
apt-get install -q -y --no-install-recommends "${missing[@]}"
