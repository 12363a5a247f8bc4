#!/bin/sh
# Make the modules of src/touchplate/protobuf from its .proto files; into another folder if one is
# given. Run it after a change to them, and after an update of grpcio-tools.
set -eu
cd "$(dirname "$0")/.."
out="${1:-src}"
python="${PYTHON:-.venv/bin/python}"
"$python" -m grpc_tools.protoc -I src --python_out="$out" --pyi_out="$out" \
    src/touchplate/protobuf/*.proto
