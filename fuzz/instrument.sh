#!/bin/sh
# A rustc that gives our crates the coverage libFuzzer steers by; other people's are built as ever.
set -eu
rustc=$1
shift
case "$*" in
*"--crate-name clickcast_"*) ;;
*) exec "$rustc" "$@" ;;
esac
# The pass is the compiler's own, but not yet a stable option.
RUSTC_BOOTSTRAP=1 exec "$rustc" "$@" --cfg fuzzing \
    -Cpasses=sancov-module \
    -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares
