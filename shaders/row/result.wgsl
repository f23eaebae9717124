// Where a row's results go, and the status that cannot be missed.
// Needs: params. Provides: write_loss, write_details, count_non_finite, gradient_scale.

struct Details {
    lse: f32,
    log_prob: f32,
    argmax: u32,
    rank: u32,
}

@group(0) @binding(6) var<storage, read_write> losses: array<f32>;
@group(0) @binding(7) var<storage, read_write> details: array<Details>;
@group(0) @binding(8) var<storage, read_write> status: array<atomic<u32>, 4>;

const NON_FINITE = 0u;        // rows with NaN, +inf or nothing but -inf
const FIRST_NON_FINITE = 1u;  // ~row of the first of them, so that 0 means none and a maximum finds the first
const GRADIENT_SCALE = 2u;    // float32 bits: 1 / denominator

fn write_loss(row: u32, loss: f32) { losses[params.rows_base + row] = loss; }
fn write_details(row: u32, d: Details) { details[params.details_base + row] = d; }
fn count_non_finite(row: u32) {
    atomicAdd(&status[NON_FINITE], 1u);
    atomicMax(&status[FIRST_NON_FINITE], ~(params.first_row + row));
}
fn gradient_scale() -> f32 { return bitcast<f32>(atomicLoad(&status[GRADIENT_SCALE])); }
