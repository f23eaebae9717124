// The uniform block that every entry point reads, one a window of rows.
// Provides: params. Mirrors src/gpu/params.rs field by field.

struct Params {
    rows: u32,             // rows of this window
    classes: u32,          // logits a row
    first_row: u32,        // index in the batch of the window's first row
    group_rows: u32,       // rows a workgroup: the fewest that start and end on a chunk boundary
    logits_base: u32,      // element of the bound logits and gradient where the window starts
    rows_base: u32,        // the same for targets, row weights and losses
    details_base: u32,     // the same for details
    flags: u32,
    ignore_count: u32,
    partial_base: u32,     // first block partial that this window writes
    count: u32,            // elements of a vector pass
    first_element: u32,    // its first element in the bound vector
    minus_infinity: f32,   // WGSL has no literal for these two; they travel at run time,
    nan: f32,              // where no compiler can assume them away
    denominator: f32,      // the caller's own; 1 where there is none
    reserved: u32,
    options: array<vec4<f32>, 2>,       // the loss fragment's own
    ignore_index: array<vec4<i32>, 4>,
}

@group(0) @binding(0) var<uniform> params: Params;

const HAS_CLASS_WEIGHTS = 1u;
const HAS_ROW_WEIGHTS = 2u;
const DIVIDE_BY_WEIGHTS = 4u;  // the mean, by the sum of weights
const EMPTY_IS_ZERO = 8u;      // a mean of nothing is 0 and not NaN
