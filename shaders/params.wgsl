// The uniform block that every entry point reads, one a window of samples.
// Provides: params. Mirrors src/gpu/params.rs field by field.
//
// Class c of row r = o * inner + i is element o * outer_stride + c * inner + i of the window. Vectors of rows are in row
// order; dense tensors, with one entry a logit, lie as the logits do but without gaps between samples.

struct Params {
    rows: u32,             // rows of this window
    classes: u32,
    inner: u32,            // positions of a sample, and elements from one class to the next
    outer_stride: u32,     // elements from one sample to the next
    first_row: u32,        // index in the batch of the window's first row
    group_rows: u32,       // rows a workgroup: the fewest that start and end on a chunk boundary; or samples of a section
    logits_base: u32,      // element of the bound logits where the window starts
    gradient_base: u32,    // the same for the gradient
    rows_base: u32,        // the same for class targets, row weights and row losses
    dense_base: u32,       // the same for dense targets and element losses
    details_base: u32,     // the same for details
    flags: u32,
    ignore_count: u32,
    partial_base: u32,     // first block partial that this window writes, or its first group of regions
    count: u32,            // elements of a vector pass; slices of a dispatch
    first_element: u32,    // its first element in the bound vector
    minus_infinity: f32,   // WGSL has no literal for these two; they travel at run time,
    nan: f32,              // where no compiler can assume them away
    denominator: f32,      // what the sum is divided by, where the targets need not be asked
    softcap: f32,
    slice_chunks: u32,     // of a slice of a row
    first_slice: u32,      // of those that a dispatch over slices takes, counted over the rows of the window; `count` of them
    first_chunk: u32,      // of the window that the bound logits have
    some_class: u32,       // one that the bound dense tensors have of every row
    options: array<vec4<f32>, 2>,       // the loss fragment's own
    ignore_index: array<vec4<i32>, 4>,
}

@group(0) @binding(0) var<uniform> params: Params;

const HAS_CLASS_WEIGHTS = 1u;
const HAS_ROW_WEIGHTS = 2u;
const DIVIDE_BY_WEIGHTS = 4u;    // the mean, by the sum of weights that the survey found
const EMPTY_IS_ZERO = 8u;        // a mean of nothing is 0 and not NaN
const HAS_POS_WEIGHTS = 16u;
const COUNT_ROWS = 32u;          // the survey leaves class weights out of its sum
const IS_SURVEYED = 64u;         // there is a survey: the targets are class indices
const COUNT_UNITS = 128u;        // a mean is over the number of losses, which is in `count`
const SAMPLES_TOGETHER = 256u;   // a region spans all samples
const WITHOUT_BACKGROUND = 512u; // class 0 is in no region
