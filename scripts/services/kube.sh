#!/usr/bin/env bash
# A real Kubernetes API server with etcd on loopback, for tests. It has no container runtime and no node, so no pod runs.
#
#   kube.sh install        build the API server from Debian's source package (five to ten minutes of two cores, once)
#   kube.sh installed      exit with 0 if it is installed
#   kube.sh start DIR      start it, wait until it answers, print KUBECONFIG=FILE
#   kube.sh stop DIR       stop it; DIR keeps its data and logs
#
# It is kept in $CLICKCAST_SERVICES, by default ${XDG_CACHE_HOME:-$HOME/.cache}/clickcast-services: 85 MB, and 2 GB while it
# is built.
set -euo pipefail

VERSION=v1.20.2
CACHE=${CLICKCAST_SERVICES:-${XDG_CACHE_HOME:-$HOME/.cache}/clickcast-services}
KUBE=$CACHE/kube
BIN=$KUBE/bin
WAIT_S=60

die() {
  echo "kube.sh: $*" >&2
  exit 1
}

is_installed() {
  [ -x "$BIN/kube-apiserver" ] && [ -x "$BIN/etcd" ]
}

# apt with its own lists and sources, so that the machine's settings don't change. The mirror is the machine's.
apt_own() {
  local own=$KUBE/apt key=/usr/share/keyrings/debian-archive-keyring.gpg mirror
  mirror=${DEBIAN_MIRROR:-$(apt-get indextargets --format '$(REPO_URI)' 2> /dev/null | sed -n 's#/debian/*$##p' | head -n 1)}
  [ -n "$mirror" ] || die "no Debian mirror found in apt's sources: set DEBIAN_MIRROR"
  mkdir -p "$own/lists/partial" "$own/archives/partial" "$own/packages"
  for section in "debian bookworm" "debian-security bookworm-security"; do
    printf 'deb [signed-by=%s] %s/%s main\ndeb-src [signed-by=%s] %s/%s main\n' \
      "$key" "$mirror" "$section" "$key" "$mirror" "$section"
  done > "$own/sources.list"
  APT=(-q -o "Dir::Etc::sourcelist=$own/sources.list" -o Dir::Etc::sourceparts=- -o "Dir::State::lists=$own/lists"
    -o "Dir::Cache=$own" -o APT::Sandbox::User= -o Acquire::Retries=3)
  apt-get "${APT[@]}" update >&2
}

# The sources, the compiler they need, and etcd's binary.
fetch() {
  local package source=$KUBE/gopath/src/k8s.io/kubernetes reflect2
  command -v dpkg-source > /dev/null || die "dpkg-source is missing: apt-get install dpkg-dev"
  apt_own
  rm -rf "$KUBE"/{go,etcd,gopath,reflect2}
  mkdir -p "$KUBE"/{go,etcd,reflect2,bin} "$KUBE/gopath/src/k8s.io"
  cd "$KUBE/apt/packages"
  apt-get "${APT[@]}" download etcd-server golang-1.19-go golang-1.19-src golang-github-modern-go-reflect2-dev >&2
  apt-get "${APT[@]}" source --download-only kubernetes >&2
  for package in golang-1.19-*.deb; do dpkg-deb -x "$package" "$KUBE/go"; done
  dpkg-deb -x etcd-server_*.deb "$KUBE/etcd"
  dpkg-source --no-check -x kubernetes_*.dsc "$source" >&2
  # The vendored reflect2 1.0.1 panics with Go 1.18 and later on the first write of an object, so use Debian's 1.0.2.
  reflect2=vendor/github.com/modern-go/reflect2
  dpkg-deb -x golang-github-modern-go-reflect2-dev_*.deb "$KUBE/reflect2"
  rm -rf "${source:?}/$reflect2"
  cp -r "$KUBE/reflect2/usr/share/gocode/src/github.com/modern-go/reflect2" "$source/$reflect2"
  rm -f "$source/$reflect2"/*_test.go
}

# The one generated file that Kubernetes' sources lack, made as its Makefile makes it.
generate_openapi() {
  local packages
  go build -o "$KUBE/openapi-gen" ./vendor/k8s.io/kube-openapi/cmd/openapi-gen
  packages=$({
    grep -rl --include='*.go' '^// *+k8s:openapi-gen=' cmd pkg plugin
    grep -rl --include='*.go' '^// *+k8s:openapi-gen=' staging/src/k8s.io | sed 's,^staging/src/,vendor/,'
  } | grep -v -e /_examples/ -e /sample- -e /code-generator/ -e /testdata/ | xargs -n 1 dirname | LC_ALL=C sort -u |
    sed 's,^,k8s.io/kubernetes/,' | paste -sd ,)
  "$KUBE/openapi-gen" --logtostderr -i "$packages" -p k8s.io/kubernetes/pkg/generated/openapi -O zz_generated.openapi \
    -h vendor/k8s.io/code-generator/hack/boilerplate.go.txt -r "$KUBE/violations.report" >&2
}

build() {
  local flags="-s -w" package
  export GOROOT=$KUBE/go/usr/lib/go-1.19 GOPATH=$KUBE/gopath GOCACHE=$KUBE/gocache GO111MODULE=off GOFLAGS='' CGO_ENABLED=0
  export PATH=$GOROOT/bin:$PATH
  cd "$GOPATH/src/k8s.io/kubernetes"
  generate_openapi
  for package in component-base/version client-go/pkg/version; do
    package=k8s.io/kubernetes/vendor/k8s.io/$package
    flags="$flags -X $package.gitVersion=$VERSION -X $package.gitMajor=1 -X $package.gitMinor=20"
    flags="$flags -X $package.gitTreeState=clean -X $package.gitCommit=debian"
  done
  # providerless, dockerless: no cloud libraries and no Docker shim, so there is less to compile.
  go build -tags providerless,dockerless -ldflags "$flags" -gcflags=all=-dwarf=false -o "$BIN/kube-apiserver.new" \
    ./cmd/kube-apiserver
}

# The first process installs; any other waits for it.
install_once() {
  if is_installed; then return; fi
  mkdir -p "$KUBE"
  exec 9> "$KUBE/lock"
  flock 9
  if ! is_installed; then
    renice -n 10 $$ > /dev/null
    (fetch && build)
    cp "$KUBE/etcd/usr/bin/etcd" "$BIN/etcd"
    mv "$BIN/kube-apiserver.new" "$BIN/kube-apiserver"
    rm -rf "$KUBE"/{apt,go,etcd,gopath,gocache,reflect2,openapi-gen,violations.report}
  fi
  exec 9>&-
}

# --- running -----------------------------------------------------------------

# Checks that the process of a pid file is alive and belongs to this folder, because process ids are reused.
is_ours() {
  [ -s "$1" ] && tr '\0' ' ' < "/proc/$(cat "$1")/cmdline" 2> /dev/null | grep -qF -- "$DIR/"
} 2> /dev/null

free_ports() {
  python3 -c '
import socket
sockets = [socket.socket() for _ in range(3)]
for one in sockets: one.bind(("127.0.0.1", 0))
print(*(one.getsockname()[1] for one in sockets))'
}

# Makes a key and a certificate signed by the folder's authority: NAME SUBJECT EXTENSIONS.
certificate() {
  openssl ecparam -name prime256v1 -genkey -noout -out "$1.key" 2> /dev/null
  openssl req -new -key "$1.key" -subj "$2" -out "$1.csr" 2> /dev/null
  openssl x509 -req -in "$1.csr" -CA ca.crt -CAkey ca.key -CAcreateserial -days 3650 -sha256 -out "$1.crt" \
    -extfile <(printf 'keyUsage=critical,digitalSignature\n%s\n' "$3") 2> /dev/null
}

certificates() {
  mkdir -p "$DIR/pki"
  cd "$DIR/pki"
  openssl ecparam -name prime256v1 -genkey -noout -out ca.key 2> /dev/null
  openssl req -x509 -new -key ca.key -subj /CN=clickcast-tests -days 3650 -sha256 -out ca.crt \
    -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign 2> /dev/null
  certificate server /CN=kube-apiserver $'extendedKeyUsage=serverAuth\nsubjectAltName=IP:127.0.0.1,IP:10.96.0.1'
  certificate admin /O=system:masters/CN=admin extendedKeyUsage=clientAuth
  openssl genrsa -out accounts.key 2048 2> /dev/null
}

kubeconfig() {
  cat << YAML
apiVersion: v1
kind: Config
current-context: test
contexts: [{name: test, context: {cluster: test, user: admin}}]
clusters:
  - name: test
    cluster: {server: "https://127.0.0.1:$1", certificate-authority: "$DIR/pki/ca.crt"}
users:
  - name: admin
    user: {client-certificate: "$DIR/pki/admin.crt", client-key: "$DIR/pki/admin.key"}
YAML
}

is_ready() {
  curl -sf -m 2 -o /dev/null --cacert "$DIR/pki/ca.crt" --cert "$DIR/pki/admin.crt" --key "$DIR/pki/admin.key" \
    "https://127.0.0.1:$1/readyz"
}

# Starts a command in its own session: NAME COMMAND...
spawn() {
  local name=$1
  shift
  setsid "$@" > "$DIR/$name.log" 2>&1 < /dev/null &
  echo $! > "$DIR/$name.pid"
}

start() {
  local port store peer deadline=$((SECONDS + WAIT_S)) name
  is_installed || die "not built yet: run kube.sh install"
  read -r port store peer <<< "$(free_ports)"
  (certificates)
  # Don't wait for the disk: the data is for tests only.
  spawn etcd "$BIN/etcd" --data-dir "$DIR/etcd" --unsafe-no-fsync \
    --listen-client-urls "http://127.0.0.1:$store" --advertise-client-urls "http://127.0.0.1:$store" \
    --listen-peer-urls "http://127.0.0.1:$peer" --initial-advertise-peer-urls "http://127.0.0.1:$peer" \
    --initial-cluster "default=http://127.0.0.1:$peer"
  # Without controllers no namespace gets a service account, so the admission plugin that requires one is off.
  spawn kube-apiserver "$BIN/kube-apiserver" --etcd-servers="http://127.0.0.1:$store" --bind-address=127.0.0.1 \
    --advertise-address=127.0.0.1 --secure-port="$port" --endpoint-reconciler-type=none \
    --service-cluster-ip-range=10.96.0.0/16 --client-ca-file="$DIR/pki/ca.crt" \
    --tls-cert-file="$DIR/pki/server.crt" --tls-private-key-file="$DIR/pki/server.key" --authorization-mode=RBAC \
    --service-account-issuer=https://kubernetes.default.svc --service-account-key-file="$DIR/pki/accounts.key" \
    --service-account-signing-key-file="$DIR/pki/accounts.key" --disable-admission-plugins=ServiceAccount
  until is_ready "$port"; do
    for name in etcd kube-apiserver; do
      is_ours "$DIR/$name.pid" || { stop; die "$name ended at once: $(tail -n 3 "$DIR/$name.log")"; }
    done
    [ "$SECONDS" -lt "$deadline" ] || { stop; die "no answer within $WAIT_S s; see $DIR/kube-apiserver.log"; }
    sleep 0.1
  done
  kubeconfig "$port" > "$DIR/kubeconfig"
  echo "KUBECONFIG=$DIR/kubeconfig"
}

# Stop the API server before etcd; otherwise it waits for etcd.
stop() {
  local name process
  for name in kube-apiserver etcd; do
    if is_ours "$DIR/$name.pid"; then
      process=$(cat "$DIR/$name.pid")
      kill "$process" 2> /dev/null || true
      for _ in $(seq 20); do kill -0 "$process" 2> /dev/null && sleep 0.1 || break; done
      if is_ours "$DIR/$name.pid"; then kill -9 "$process" 2> /dev/null || true; fi
    fi
    rm -f "$DIR/$name.pid"
  done
}

DIR=${2:-}
if [ -n "$DIR" ]; then mkdir -p "$DIR" && DIR=$(cd "$DIR" && pwd); fi
case ${1:-}:$DIR in
  install:) install_once ;;
  installed:) is_installed ;;
  start:?*) start ;;
  stop:?*) stop ;;
  *)
    sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0"
    exit 2
    ;;
esac
