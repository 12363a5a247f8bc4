#!/usr/bin/env bash
# The packages that tests use and no Python registry has: a PostgreSQL server.
#
# As root on Debian and its like it installs what is missing. Anybody else is told what is skipped;
# that is no failure. No database cluster is made and nothing is started: the tests do that.
set -euo pipefail

if compgen -G '/usr/lib/postgresql/*/bin/initdb' > /dev/null; then
    exit 0
fi
if [[ $EUID -ne 0 ]] || ! command -v apt-get > /dev/null; then
    echo "no PostgreSQL below /usr/lib/postgresql: tests that need one are skipped" >&2
    exit 0
fi

export DEBIAN_FRONTEND=noninteractive
apt-get update -q
apt-get install -q -y --no-install-recommends postgresql-common
sed -i -E "s/^#? *create_main_cluster *=.*/create_main_cluster = false/" \
    /etc/postgresql-common/createcluster.conf
apt-get install -q -y --no-install-recommends postgresql
