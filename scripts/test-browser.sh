#!/usr/bin/env bash
# Runs the tests of examples/browser in a headless Chromium: every loss on WebGPU and on the CPU engine, against the reference.
#
#   scripts/test-browser.sh [arguments of cargo test]
#
# Needs rustup, chromium and chromedriver. The first time it builds wasm-bindgen, which takes minutes.
set -euo pipefail
cd "$(dirname "$0")/.."

for tool in chromium chromedriver; do
    command -v "$tool" >/dev/null && continue
    echo "$tool is missing: on Debian and its kin it is in chromium or chromium-driver" >&2
    exit 1
done
. scripts/wasm.sh
CHROMEDRIVER="$(command -v chromedriver)"
export CHROMEDRIVER
export WASM_BINDGEN_TEST_TIMEOUT=600
export CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUNNER="$tools/bin/wasm-bindgen-test-runner"
cargo test --release --locked -p logloss-browser --test every_loss --target wasm32-unknown-unknown "$@"
