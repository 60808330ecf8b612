#!/bin/sh
# Builds the fuzz targets as cargo-fuzz does, on the stable toolchain: coverage for libFuzzer, and AddressSanitizer.
set -eu
cd "$(dirname "$0")"
coverage="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4"
coverage="$coverage -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table"
coverage="$coverage -Cllvm-args=-sanitizer-coverage-trace-compares"
export RUSTC_BOOTSTRAP=1
export RUSTFLAGS="--cfg fuzzing -Zsanitizer=address $coverage"
# A named target keeps build scripts and macros free of the instrumentation.
exec cargo build --release --target "$(rustc --print host-tuple)" "$@"
