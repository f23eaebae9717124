#!/usr/bin/env bash
# Compares every loss on both engines with the float64 reference, over random options, layouts, dtypes and odd values, until the
# minutes are over or one is wrong. The failure names what repeats it: LOGLOSS_SEED=N LOGLOSS_TRIALS=1 cargo test every_loss_meets.
#
#   scripts/fuzz.sh [MINUTES [FIRST_SEED]]
set -euo pipefail
cd "$(dirname "$0")/.."

minutes=${1:-10}
seed=${2:-1000}
export XDG_RUNTIME_DIR="${XDG_RUNTIME_DIR:-${TMPDIR:-/tmp}}"
export LOGLOSS_TRIALS=10
cargo test --release --quiet --test cpu --test gpu --no-run
SECONDS=0
while [ "$SECONDS" -lt $((60 * minutes)) ]; do
    echo "seeds from $seed on"
    if ! output=$(LOGLOSS_SEED=$seed cargo test --release --quiet --test cpu --test gpu every_loss_meets 2>&1); then
        echo "$output" >&2
        exit 1
    fi
    seed=$((seed + LOGLOSS_TRIALS))
done
echo "no difference up to seed $((seed - 1))"
