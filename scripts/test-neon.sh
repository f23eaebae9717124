#!/usr/bin/env bash
# Runs the tests of the CPU engine with NEON, on a processor that lacks it, in QEMU's user mode. Minutes to build, minutes to run.
#
#   scripts/test-neon.sh [arguments of cargo test]
set -euo pipefail
cd "$(dirname "$0")/.."

target=aarch64-unknown-linux-gnu
for tool in qemu-aarch64-static aarch64-linux-gnu-gcc; do
    command -v "$tool" >/dev/null && continue
    echo "$tool is missing: on Debian and its kin it is in qemu-user-static or gcc-aarch64-linux-gnu" >&2
    exit 1
done
rustup target add "$target"
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER="qemu-aarch64-static -L /usr/aarch64-linux-gnu"
cargo test --no-default-features --lib --test cpu --target "$target" "$@"
