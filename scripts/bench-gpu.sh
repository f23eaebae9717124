#!/usr/bin/env bash
# The roofline on a machine that has a GPU and nothing else installed.
#
#   scripts/bench-gpu.sh build [FOLDER]     # on a machine with Rust: a bundle, target/bench-gpu by default
#   FOLDER/bench-gpu.sh run [ARGUMENTS]     # on the other one; in the repository, scripts/bench-gpu.sh run
#
# ARGUMENTS are the binary's: --quick, --shapes 8192x32000, --dtypes float32, --json FILE (roofline --help, with --bench).
# Where PYTHON (python3 without it) has PyTorch and a CUDA device, PyTorch takes its turn in the same rounds.
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"

build() {
    local root bundle executable
    root="$(dirname "$here")"
    bundle="${1:-$root/target/bench-gpu}"
    mkdir -p "$bundle"
    # Vulkan is opened at run time, which a fully static binary of glibc cannot do: only libc and libgcc stay shared.
    executable="$(cd "$root" && cargo bench --locked --bench roofline --no-run --message-format=json |
        grep -o '"executable":"[^"]*"' | tail -n 1 | cut -d '"' -f 4)"
    install "$executable" "$bundle/roofline"
    strip "$bundle/roofline" 2>/dev/null || true
    install "$root/scripts/bench-gpu.sh" "$bundle/"
    install -m 644 "$root/benches/peers/torch_peer.py" "$root/benches/peers/turns.py" "$bundle/"
    ldd "$bundle/roofline"
    local glibc
    glibc="$(grep -ao 'GLIBC_2\.[0-9]*' "$bundle/roofline" | sort -Vu | tail -n 1)"
    echo "$bundle needs ${glibc:-no glibc}, and a Vulkan loader with a driver (libvulkan.so.1)"
}

run() {
    local bundle="$here" python="${PYTHON:-python3}" peer=()
    if [ ! -x "$bundle/roofline" ]; then
        bundle="$(dirname "$here")/target/bench-gpu"
        [ -x "$bundle/roofline" ] || build "$bundle" >&2
    fi
    # lavapipe warns on every start without it.
    export XDG_RUNTIME_DIR="${XDG_RUNTIME_DIR:-${TMPDIR:-/tmp}}"
    if "$python" -c 'import torch, numpy; raise SystemExit(not torch.cuda.is_available())' 2>/dev/null; then
        peer=(--peer "$python $bundle/torch_peer.py cuda")
    else
        echo "$python has no PyTorch with a CUDA device (and numpy): logloss alone" >&2
    fi
    "$bundle/roofline" --bench "${peer[@]}" "$@"
}

case "${1:-run}" in
    build) shift && build "$@" ;;
    run) [ $# -eq 0 ] || shift; run "$@" ;;
    *) echo "usage: bench-gpu.sh build [FOLDER] | run [ARGUMENTS]" >&2 && exit 2 ;;
esac
