#!/usr/bin/env bash
# Evaluates logits that no memory holds, and checks what that takes: a sparse file of 240000 x 32000 float32, 30.7 GB, of which
# the disk keeps a few hundred kilobytes. Slow, hence not part of the tests.
#
#   scripts/large-file.sh [ENGINE..]        gpu and cpu, if none is given
#
# ROWS and CLASSES in the environment change the shape, TMPDIR says where the file goes. Linux only: the peak of the resident
# memory is read from /proc. On a software adapter the buffers of the device are part of it.
set -euo pipefail
cd "$(dirname "$0")/.."
rows=${ROWS:-240000} classes=${CLASSES:-32000}
engines=("$@")
[ $# -gt 0 ] || engines=(gpu cpu)
max_resident=$((1 << 30)) max_buffers=$((512 << 20))

cargo build --quiet --release --package logloss-cli
program=${CARGO_TARGET_DIR:-target}/release/logloss
export XDG_RUNTIME_DIR="${XDG_RUNTIME_DIR:-${TMPDIR:-/tmp}}"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

# npy FILE DTYPE SHAPE BYTES: an array of zeros behind a header of 128 bytes.
npy() {
    local dictionary="{'descr': '$2', 'fortran_order': False, 'shape': ($3), }"
    printf '\x93NUMPY\x01\x00\x76\x00%-117s\n' "$dictionary" >"$1"
    truncate -s $((128 + $4)) "$1"
}

npy "$folder/logits.npy" '<f4' "$rows, $classes" $((rows * classes * 4))
npy "$folder/targets.npy" '<i4' "$rows," $((rows * 4))
# Every 1009th row has 2.0 in its first classes, of which class 0 is every row's target.
raised=$((classes / 32)) every=1009
ones=$(seq "$raised")
# shellcheck disable=SC2086
printf '\x00\x00\x00\x40%.0s' $ones >"$folder/raised"
for ((row = 0; row < rows; row += every)); do
    dd if="$folder/raised" of="$folder/logits.npy" bs=1M oflag=seek_bytes seek=$((128 + row * classes * 4)) conv=notrunc status=none
done
# Rows of zeros have a loss of log C, the others of log(m e^2 + C - m) - 2.
expected=$(awk -v rows="$rows" -v c="$classes" -v m="$raised" -v every="$every" 'BEGIN {
    n = int((rows - 1) / every) + 1
    printf "%.9f", ((rows - n) * log(c) + n * (log(m * exp(2) + c - m) - 2)) / rows }')

status=0
# check NAME VALUE LIMIT
check() {
    if (($2 <= $3)); then
        printf '  %-22s %6d MiB, at most %d MiB\n' "$1" $(($2 >> 20)) $(($3 >> 20))
    else
        printf '  %-22s %6d MiB, MORE THAN %d MiB\n' "$1" $(($2 >> 20)) $(($3 >> 20))
        status=1
    fi
}
for engine in "${engines[@]}"; do
    printf '%s: %d x %d float32, %s\n' "$engine" "$rows" "$classes" "$(du -h --apparent-size "$folder/logits.npy" | cut -f 1)"
    "$program" eval --engine "$engine" --json --quiet --logits "$folder/logits.npy" --targets "$folder/targets.npy" \
        >"$folder/report.json" &
    process=$!
    resident=0
    # The highest so far, so that only the last moment of the process goes unseen.
    while now=$(awk '/^VmHWM/ { print $2 * 1024 }' "/proc/$process/status" 2>/dev/null) && [ -n "$now" ]; do
        resident=$now
        sleep 0.05
    done
    wait "$process"
    field() { sed -n "s/^ *\"$1\": \"\\{0,1\\}\\([^\",]*\\).*/\\1/p" "$folder/report.json"; }
    check 'resident set (VmHWM)' "$resident" "$max_resident"
    if [ "$(field device_bytes)" != null ]; then
        check 'buffers of the device' "$(field device_bytes)" "$max_buffers"
        awk -v seconds="$(field longest_submission_seconds)" 'BEGIN { printf "  %-22s %6d ms\n", "longest submission", 1000 * seconds }'
    fi
    awk -v got="$(field loss)" -v want="$expected" -v bytes=$((rows * classes * 4)) -v seconds="$(field row_seconds)" 'BEGIN {
        error = (got - want) / want
        if (error < 0) error = -error
        printf "  %-22s %.9f, in closed form %.9f%s\n", "loss", got, want, error <= 1e-5 ? "" : ": WRONG"
        printf "  %-22s %.1f s, %.2f GB/s\n", "time", seconds, bytes / seconds / 1e9
        exit !(error <= 1e-5) }' || status=1
done
exit "$status"
