#!/usr/bin/env bash
# Builds the page of examples/browser and serves it on this machine, to be opened in a browser with WebGPU:
#
#   scripts/browser.sh [PORT]
#
# Needs rustup and Python. The first time it builds wasm-bindgen, which takes minutes.
set -euo pipefail
cd "$(dirname "$0")/.."

. scripts/wasm.sh
cargo build --release --locked -p logloss-browser --target wasm32-unknown-unknown
page="$target/browser"
mkdir -p "$page"
"$tools/bin/wasm-bindgen" --target web --no-typescript --out-dir "$page" \
    "$target/wasm32-unknown-unknown/release/logloss_browser.wasm"
cp examples/browser/index.html "$page"
port="${1:-8000}"
echo "open http://localhost:$port"
exec python3 -m http.server --bind 127.0.0.1 --directory "$page" "$port"
