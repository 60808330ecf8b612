#!/bin/sh
# Builds the fuzz targets on the stable toolchain, by `instrument.sh`; arguments go to `cargo build`.
set -eu
cd "$(dirname "$0")"
RUSTC_WRAPPER="$PWD/instrument.sh" exec cargo build --release "$@"
