#!/usr/bin/env bash
# Renders, lints and checks a chart without a cluster or a helm binary: Helm 4's own library, and Kubernetes' own schemas,
# each from a Python package, in a virtual environment of its own (220 MB; half a minute once); KEDA's own types from an npm
# package (26 MB).
#
#   helm.sh template CHART [-f VALUES.yaml]... [--set k=v]...   print the objects
#   helm.sh lint     CHART [-f VALUES.yaml]... [--set k=v]...   exit 1 on a finding worse than a hint
#   helm.sh check    VERSION FILE                               objects against the schemas of that Kubernetes, such as 1.32
#   helm.sh keda     FILE                                       KEDA's objects in a file against KEDA's types
#   helm.sh create   KUBECONFIG FILE                            create a file's objects at an API server, read them back
#   helm.sh terraform FOLDER                                    check Terraform's syntax, and that every name it uses exists
#   helm.sh install                                             only install
#
# It is kept in $CLICKCAST_SERVICES, by default ${XDG_CACHE_HOME:-$HOME/.cache}/clickcast-services.
set -euo pipefail

VERSION=2
CACHE=${CLICKCAST_SERVICES:-${XDG_CACHE_HOME:-$HOME/.cache}/clickcast-services}
VENV=$CACHE/helm/chart-$VERSION
KEDA_VERSION=2.0.0
KEDA=$CACHE/helm/keda-$KEDA_VERSION
HERE=$(cd "$(dirname "$0")" && pwd)

# Tests start it in parallel: one of them installs, the others wait.
install_once() {
  if [ -f "$VENV/installed" ]; then return; fi
  mkdir -p "$CACHE/helm"
  exec 9> "$CACHE/helm/lock"
  flock 9
  if [ ! -f "$VENV/installed" ]; then
    rm -rf "$VENV"
    "${PYTHON:-python3}" -m venv "$VENV" >&2
    "$VENV/bin/pip" install -q --disable-pip-version-check --no-cache-dir --no-deps -r "$HERE/helm-requirements.txt" >&2
    # The package contains the library three times.
    for copy in "$VENV"/lib/python*/site-packages/helm_python/lib/libhelm_c.so.*; do ln -f "${copy%.so.*}.so" "$copy"; done
    # Node looks for packages in the program's folder.
    mkdir -p "$KEDA"
    npm install --prefix "$KEDA" --silent --no-audit --no-fund --ignore-scripts "@kubernetes-models/keda@$KEDA_VERSION" >&2
    touch "$VENV/installed"
  fi
  exec 9>&-
}

keda() {
  local of_keda='import json, sys, yaml
things = yaml.safe_load_all(open(sys.argv[1], encoding="utf-8"))
json.dump([thing for thing in things if thing and thing["apiVersion"].startswith("keda.sh/")], sys.stdout)'
  cp "$HERE/keda_check.mjs" "$KEDA/keda_check.mjs"
  "$VENV/bin/python" -c "$of_keda" "$1" | node "$KEDA/keda_check.mjs"
}

command=${1:-}
if [ -n "$command" ]; then shift; fi
case $command in
  template) install_once; exec "$VENV/bin/python" "$HERE/helm_template.py" "$@" ;;
  lint) install_once; exec "$VENV/bin/python" "$HERE/helm_template.py" --lint "$@" ;;
  check) install_once; exec "$VENV/bin/kubernetes-validate" --strict -k "$@" ;;
  keda) install_once; keda "$@" ;;
  create) install_once; exec "$VENV/bin/python" "$HERE/kube_create.py" "$@" ;;
  terraform) install_once; exec "$VENV/bin/python" "$HERE/terraform_check.py" "$@" ;;
  install) install_once ;;
  *)
    sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0"
    exit 2
    ;;
esac
