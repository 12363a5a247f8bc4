#!/usr/bin/env bash
# Make requirements/*.txt again: dev.txt first, the two smaller ones as parts of it, so that all agree.
# `tools/lock.sh --upgrade` takes newer versions; without it only what pyproject.toml forces changes.
set -euo pipefail
cd "$(dirname "$0")/.."
uv=${UV:-.venv/bin/uv}

compile() { # output file, then what to compile
    local output=$1
    shift
    "$uv" pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
        --no-emit-index-url --no-emit-find-links --no-config --output-file "$output" "$@" pyproject.toml
}

extras="--extra server --extra postgres --extra s3 --extra grpc --extra pkcs11 --extra aws"
# shellcheck disable=SC2086  # the words of it
compile requirements/dev.txt $extras --group dev "$@"
# shellcheck disable=SC2086
compile requirements/server.txt $extras --constraints requirements/dev.txt "$@"
compile requirements/core.txt --constraints requirements/dev.txt "$@"

if grep -nE 'https?://|--(extra-)?index-url|--find-links' requirements/*.txt; then
    echo "lock: an address stands in a lock file" >&2
    exit 1
fi
