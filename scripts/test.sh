#!/usr/bin/env bash
# Runs every test. The kernels run on whatever Vulkan, Metal or DX12 adapter there is; where there is none, Mesa's software
# driver (lavapipe) is installed first. Tests never pass by skipping: without an adapter they fail and say so.
set -euo pipefail
cd "$(dirname "$0")/.."

have_vulkan_driver() {
    # The loader alone is not enough: a driver announces itself with a manifest.
    ldconfig -p 2>/dev/null | grep -q 'libvulkan\.so' || return 1
    [ -n "${VK_DRIVER_FILES:-}${VK_ICD_FILENAMES:-}" ] && return 0
    local folder
    for folder in /etc/vulkan/icd.d /usr/share/vulkan/icd.d /usr/local/share/vulkan/icd.d "${HOME:-/root}/.local/share/vulkan/icd.d"; do
        compgen -G "$folder/*.json" >/dev/null && return 0
    done
    return 1
}

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

if [ "$(uname -s)" = Linux ] && ! have_vulkan_driver; then
    echo "no Vulkan driver found: installing Mesa's software driver" >&2
    if command -v apt-get >/dev/null; then
        as_root apt-get update -qq
        as_root apt-get install -y -qq mesa-vulkan-drivers libvulkan1
    elif command -v dnf >/dev/null; then
        as_root dnf install -y -q mesa-vulkan-drivers vulkan-loader
    else
        echo "install a Vulkan driver and loader (Mesa's lavapipe is a software one), then run this again" >&2
        exit 1
    fi
fi

# lavapipe warns on every start without it.
export XDG_RUNTIME_DIR="${XDG_RUNTIME_DIR:-${TMPDIR:-/tmp}}"
cargo test --workspace "$@"
