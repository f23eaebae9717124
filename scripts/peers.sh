#!/usr/bin/env bash
# Times logloss beside burn, candle, PyTorch and JAX, in turn, on as many threads, and writes the tables to benches/results:
#
#   scripts/peers.sh                        # everything; burn takes many minutes to build
#   scripts/peers.sh python                 # PyTorch and JAX beside the CPU engine
#   scripts/peers.sh losses                 # PyTorch's other losses beside the CPU engine's
#   scripts/peers.sh rust --shape 8192x32000
#
# THREADS=2 sets the number of threads, PYTHON a Python with torch, jax, optax and numpy; without it an environment is made in
# benches/peers/target (some gigabytes).
set -euo pipefail
cd "$(dirname "$0")/.."

threads="${THREADS:-2}"
export RAYON_NUM_THREADS="$threads" OMP_NUM_THREADS="$threads" LP_NUM_THREADS="$threads"
# lavapipe warns on every start without it.
export XDG_RUNTIME_DIR="${XDG_RUNTIME_DIR:-${TMPDIR:-/tmp}}"
# XLA takes as many threads as there are cores to run on.
pinned=(taskset -c "0-$((threads - 1))")
which="${1:-all}"
[ $# -gt 0 ] && shift
results="benches/results/$(date +%F)"
mkdir -p "$results"
manifest=benches/peers/Cargo.toml
target="${CARGO_TARGET_DIR:-benches/peers/target}"
export CARGO_TARGET_DIR="$target"

# The Python; and the program that takes turns with it, built.
prepare_python() {
    python="${PYTHON:-}"
    if [ -z "$python" ]; then
        python="$target/venv/bin/python"
        [ -x "$python" ] || { python3 -m venv "$target/venv" && "$python" -m pip install torch numpy jax optax; }
    fi
    cargo build --release --locked --manifest-path "$manifest" -p logloss-turns
}

with_python() {
    prepare_python
    "${pinned[@]}" "$target/release/logloss-turns" \
        --peer "$python benches/peers/torch_peer.py" --peer "$python benches/peers/jax_peer.py" \
        --json "$results/python.json" "$@" | tee "$results/python.txt"
}

with_losses() {
    prepare_python
    local losses=()
    for loss in soft_cross_entropy nll multi_margin kl_div bce_with_logits sigmoid_focal mse hinge; do
        losses+=(--loss "$loss")
    done
    "${pinned[@]}" "$target/release/logloss-turns" --peer "$python benches/peers/torch_peer.py" "${losses[@]}" \
        --json "$results/losses.json" "$@" | tee "$results/losses.txt"
}

with_rust() {
    cargo build --release --locked --manifest-path "$manifest" -p logloss-peers
    "${pinned[@]}" "$target/release/logloss-peers" --json "$results/rust.json" "$@" | tee "$results/rust.txt"
}

case "$which" in
    all) with_python "$@" && with_losses "$@" && with_rust "$@" ;;
    python) with_python "$@" ;;
    losses) with_losses "$@" ;;
    rust) with_rust "$@" ;;
    *) echo "usage: scripts/peers.sh [all|python|losses|rust] [--shape ROWSxCLASSES]..." >&2 && exit 2 ;;
esac
