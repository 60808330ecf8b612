#!/usr/bin/env bash
# DuckDB for tests: a Python with DuckDB, in its own virtual environment.
#
#   duckdb.sh   install it once, print PYTHON=path
#
# It is kept where moto.sh keeps moto: in $CLICKCAST_SERVICES, by default ${XDG_CACHE_HOME:-$HOME/.cache}/clickcast-services.
set -euo pipefail

VERSION=1.4.2
CACHE=${CLICKCAST_SERVICES:-${XDG_CACHE_HOME:-$HOME/.cache}/clickcast-services}
VENV=$CACHE/duckdb/venv-$VERSION

mkdir -p "$CACHE/duckdb"
exec 9> "$CACHE/duckdb/lock"
flock 9
if [ ! -f "$VENV/installed" ]; then
  rm -rf "$VENV"
  "${PYTHON:-python3}" -m venv "$VENV" >&2
  "$VENV/bin/pip" install -q --disable-pip-version-check "duckdb==$VERSION" >&2
  touch "$VENV/installed"
fi
echo "PYTHON=$VENV/bin/python"
