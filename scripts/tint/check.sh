#!/usr/bin/env bash
# Compiles every shader with Tint, browsers' other WGSL compiler. Needs node, npm, and a Vulkan driver that Dawn accepts: a GPU's,
# lavapipe 25 or later, or SwiftShader (Debian's package chromium has one: it is taken where VK_DRIVER_FILES is not set).
set -euo pipefail
cd "$(dirname "$0")"

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
swiftshader=/usr/lib/chromium/vk_swiftshader_icd.json
if [ -z "${VK_DRIVER_FILES:-}${VK_ICD_FILENAMES:-}" ] && [ -e "$swiftshader" ]; then
    export VK_DRIVER_FILES=$swiftshader VK_ICD_FILENAMES=$swiftshader
fi
cargo build --quiet --release --package logloss-cli
logloss=$(cargo metadata --format-version 1 --no-deps | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')/release/logloss
"$logloss" shader --list | while read -r label; do
    "$logloss" shader "$label" >"$folder/${label//\//_}.wgsl"
done
npm install --silent --no-save --prefix "$folder" webgpu@0.6.2 >/dev/null
NODE_PATH="$folder/node_modules" XDG_RUNTIME_DIR="${XDG_RUNTIME_DIR:-/tmp}" node check.cjs "$folder"
