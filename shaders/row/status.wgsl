// The status of a batch that cannot be missed, and what every gradient is multiplied by.
// Needs: params. Provides: count_non_finite, count_bad, the same for several at once, gradient_scale, write_partial.

// Eight words, and behind them the partial sums of a loss of elements: together, because WebGPU promises no ninth binding.
@group(0) @binding(8) var<storage, read_write> status: array<atomic<u32>>;
const STATUS_WORDS = 8u;

const NON_FINITE = 0u;        // rows (or elements) with NaN, +inf or nothing but -inf
const FIRST_NON_FINITE = 1u;  // ~row of the first of them, so that 0 means none and a maximum finds the first
const GRADIENT_SCALE = 2u;    // float32 bits: 1 / denominator
const BAD = 3u;               // values outside the domain of the loss
const FIRST_BAD = 4u;         // ~row of the first of them

// `row` counts from the start of the window; of several it is the first.
fn count_all_non_finite(count: u32, row: u32) {
    atomicAdd(&status[NON_FINITE], count);
    atomicMax(&status[FIRST_NON_FINITE], ~(params.first_row + row));
}
fn count_all_bad(count: u32, row: u32) {
    atomicAdd(&status[BAD], count);
    atomicMax(&status[FIRST_BAD], ~(params.first_row + row));
}
fn count_non_finite(row: u32) { count_all_non_finite(1u, row); }
fn count_bad(row: u32) { count_all_bad(1u, row); }
fn gradient_scale() -> f32 { return bitcast<f32>(atomicLoad(&status[GRADIENT_SCALE])); }

fn write_partial(index: u32, sum: f32) { atomicStore(&status[STATUS_WORDS + index], bitcast<u32>(sum)); }
