// The last word on a batch: what the mean divides by, and the totals with their status.
// Needs: params, math. Provides: the entry points denominator and summarize, one invocation each.

struct Survey {
    weight: f32,
    ignored: u32,
    first_ignored: u32,
    bad: u32,
    first_bad: u32,
    bad_value: i32,
}

struct Status {
    non_finite: u32,
    first_non_finite: u32,  // ~row; 0 means none
    gradient_scale: f32,
    bad: u32,
    first_bad: u32,         // ~row
    reserved: array<u32, 3>,
}

// Losses are written as bits, so that NaN passes through no arithmetic.
struct Summary {
    loss: u32,
    loss_sum: u32,
    weight_sum: f32,
    gradient_scale: f32,
    rows: u32,
    ignored: u32,
    first_ignored: u32,
    bad_targets: u32,
    first_bad_row: u32,
    first_bad_target: i32,
    non_finite: u32,
    first_non_finite: u32,
    reserved: array<u32, 4>,
}

@group(0) @binding(1) var<storage, read> survey: array<Survey>;
@group(0) @binding(2) var<storage, read> loss_sum: array<f32>;
@group(0) @binding(3) var<storage, read_write> status: array<Status>;
@group(0) @binding(4) var<storage, read_write> summary: array<Summary>;

const NAN_BITS = 0x7fc00000u;
const ABSENT = 0xffffffffu;

// Where the targets are no class indices there is no survey: the kernels count bad values themselves.
fn survey_or_status() -> Survey {
    let bad = status[0].bad;
    var s = Survey(0.0, 0u, ABSENT, bad, select(ABSENT, ~status[0].first_bad, bad > 0u), 0);
    if (params.flags & IS_SURVEYED) != 0u { s = survey[0]; }
    if (params.flags & COUNT_UNITS) != 0u { s.weight = f32(params.count); }
    return s;
}

fn divisor() -> f32 {
    if (params.flags & DIVIDE_BY_WEIGHTS) == 0u { return params.denominator; }
    return survey[0].weight;
}

@compute @workgroup_size(1)
fn denominator() {
    let d = divisor();
    status[0] = Status(0u, 0u, select(1.0 / d, 0.0, d == 0.0), 0u, 0u, array<u32, 3>());
}

@compute @workgroup_size(1)
fn summarize() {
    let s = survey_or_status();
    let state = status[0];
    let d = divisor();
    var sum = bitcast<u32>(loss_sum[0]);
    var loss = bitcast<u32>(loss_sum[0] / d);
    if d == 0.0 { loss = select(NAN_BITS, 0u, (params.flags & EMPTY_IS_ZERO) != 0u); }
    if s.bad > 0u || state.non_finite > 0u {
        sum = NAN_BITS;
        loss = NAN_BITS;
    }
    summary[0] = Summary(
        loss, sum, s.weight, state.gradient_scale,
        params.rows, s.ignored, s.first_ignored, s.bad, s.first_bad, select(0, s.bad_value, s.bad > 0u),
        state.non_finite, select(~state.first_non_finite, ABSENT, state.non_finite == 0u),
        array<u32, 4>(),
    );
}
