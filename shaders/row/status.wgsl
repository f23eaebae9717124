// The status of a batch that cannot be missed, and what every gradient is multiplied by.
// Needs: params. Provides: count_non_finite, count_bad, gradient_scale.

@group(0) @binding(8) var<storage, read_write> status: array<atomic<u32>, 8>;

const NON_FINITE = 0u;        // rows (or elements) with NaN, +inf or nothing but -inf
const FIRST_NON_FINITE = 1u;  // ~row of the first of them, so that 0 means none and a maximum finds the first
const GRADIENT_SCALE = 2u;    // float32 bits: 1 / denominator
const BAD = 3u;               // values outside the domain of the loss
const FIRST_BAD = 4u;         // ~row of the first of them

// `row` counts from the start of the window.
fn count_non_finite(row: u32) {
    atomicAdd(&status[NON_FINITE], 1u);
    atomicMax(&status[FIRST_NON_FINITE], ~(params.first_row + row));
}
fn count_bad(row: u32) {
    atomicAdd(&status[BAD], 1u);
    atomicMax(&status[FIRST_BAD], ~(params.first_row + row));
}
fn gradient_scale() -> f32 { return bitcast<f32>(atomicLoad(&status[GRADIENT_SCALE])); }
