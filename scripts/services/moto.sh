#!/usr/bin/env bash
# S3, SNS, SQS and EventBridge on loopback for tests: moto's server, in a virtual environment of its own.
#
#   moto.sh start [port]   install it once, start it, wait until it answers, print ENDPOINT=URL
#                          (port 0, the default, takes a free port; if it is running already, prints the endpoint again)
#   moto.sh stop PORT      stop it; all state is in memory, so this forgets it
#   moto.sh reset PORT     forget every bucket, queue and topic, keep running
#   moto.sh install        only install
#
# Any credentials do (AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test AWS_REGION=us-east-1); S3 needs path-style
# addresses. It is kept in $CLICKCAST_SERVICES, by default ${XDG_CACHE_HOME:-$HOME/.cache}/clickcast-services; logs and
# process ids in moto/run there; CLICKCAST_MOTO_LOG=1 logs each request.
set -euo pipefail

VERSION=5.2.5
CACHE=${CLICKCAST_SERVICES:-${XDG_CACHE_HOME:-$HOME/.cache}/clickcast-services}
VENV=$CACHE/moto/venv-$VERSION
RUN=$CACHE/moto/run
HERE=$(cd "$(dirname "$0")" && pwd)
WAIT_S=30

die() {
  echo "moto.sh: $*" >&2
  exit 1
}

# Tests start it in parallel: one of them installs, the others wait.
install_once() {
  if [ -f "$VENV/installed" ]; then return; fi
  mkdir -p "$CACHE/moto"
  exec 9> "$CACHE/moto/lock"
  flock 9
  if [ ! -f "$VENV/installed" ]; then
    rm -rf "$VENV"
    "${PYTHON:-python3}" -m venv "$VENV" >&2
    "$VENV/bin/pip" install -q --disable-pip-version-check -c "$HERE/moto-constraints.txt" "moto[server]==$VERSION" >&2
    touch "$VENV/installed"
  fi
  exec 9>&-
}

answers() {
  curl -sf -m 2 -o /dev/null "http://127.0.0.1:$1/moto-api/data.json"
}

# Checks that the process of a pid file is alive and is a moto server, because process ids are reused.
is_ours() {
  [ -s "$1" ] && tr '\0' ' ' < "/proc/$(cat "$1")/cmdline" 2> /dev/null | grep -q moto_server
} 2> /dev/null

free_port() {
  "$VENV/bin/python" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

start() {
  local port=$1 pid
  install_once
  mkdir -p "$RUN"
  if [ "$port" = 0 ]; then port=$(free_port); fi
  if ! { is_ours "$RUN/$port.pid" && answers "$port"; }; then
    if answers "$port"; then die "port $port is taken by a server that this script did not start"; fi
    # In its own session, it outlives the shell that started it.
    setsid "$VENV/bin/python" "$HERE/moto_server.py" -H 127.0.0.1 -p "$port" > "$RUN/$port.log" 2>&1 < /dev/null &
    pid=$!
    echo "$pid" > "$RUN/$port.pid"
    for _ in $(seq $((WAIT_S * 10))); do
      if answers "$port"; then break; fi
      if ! kill -0 "$pid" 2> /dev/null; then
        tail -n 5 "$RUN/$port.log" >&2
        die "the server ended at once"
      fi
      sleep 0.1
    done
    answers "$port" || die "no answer on port $port after $WAIT_S s; see $RUN/$port.log"
  fi
  echo "ENDPOINT=http://127.0.0.1:$port"
}

stop() {
  local file=$RUN/$1.pid pid
  if is_ours "$file"; then
    pid=$(cat "$file")
    kill "$pid"
    for _ in $(seq 50); do
      kill -0 "$pid" 2> /dev/null || break
      sleep 0.1
    done
    if is_ours "$file"; then kill -9 "$pid"; fi
  fi
  rm -f "$file"
}

case ${1:-} in
  start) start "${2:-0}" ;;
  stop) stop "${2:?which port}" ;;
  reset) curl -sf -m 10 -X POST -o /dev/null "http://127.0.0.1:${2:?which port}/moto-api/reset" ;;
  install) install_once ;;
  *)
    sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0"
    exit 2
    ;;
esac
