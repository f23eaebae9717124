// Elementary functions of one row, to a few ULP. WGSL's own log has only an absolute bound around 1 and there is no log1p,
// which is where a confident row's loss lives; its exp may lose 2|x| ULP.
// Provides: LN_2, accurate_exp, accurate_log, log1p_unit, margin_of, weighted, and their four-wide forms; is_nan, is_infinite.

const LN_2 = 0.69314718;

// NaN and infinities by their bits: compilers may assume that x != x is false.
fn is_nan(x: f32) -> bool { return (bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u; }
fn is_infinite(x: f32) -> bool { return (bitcast<u32>(x) & 0x7fffffffu) == 0x7f800000u; }

// exp(x): 2^k exp(r) with |r| <= ln2/2, ln 2 in two parts so that k * ln 2 is exact enough, Taylor to r^7 (truncation 2e-8 r at
// the edge). Below -87.3 the result is 0: float32 denormals are flushed by some devices. Above 88.3 it is no number to use.
fn accurate_exp4(x: vec4<f32>) -> vec4<f32> {
    let bounded = clamp(x, vec4(-88.0), vec4(88.3));
    let k = round(bounded * 1.4426950);
    let r = fma(-k, vec4(-2.1219444e-4), fma(-k, vec4(0.693359375), bounded));
    var p = vec4(1.9841270e-4);
    p = fma(p, r, vec4(1.3888889e-3));
    p = fma(p, r, vec4(8.3333333e-3));
    p = fma(p, r, vec4(4.1666667e-2));
    p = fma(p, r, vec4(1.6666667e-1));
    p = fma(p, r, vec4(0.5));
    p = fma(p, r, vec4(1.0));
    p = fma(p, r, vec4(1.0));
    return select(p * bitcast<vec4<f32>>(vec4<u32>(vec4<i32>(k) + vec4(127)) << vec4(23u)), vec4(0.0), x < vec4(-87.3));
}
fn accurate_exp(x: f32) -> f32 { return accurate_exp4(vec4(x)).x; }

// 2 atanh(u) / (2u) = 1 + u^2/3 + u^4/5 + ..., by its square; the first omitted term is below 2e-9 for u^2 <= 1/9.
fn atanh_series4(u2: vec4<f32>) -> vec4<f32> {
    var p = vec4(0.058823529);
    p = fma(p, u2, vec4(0.066666667));
    p = fma(p, u2, vec4(0.076923077));
    p = fma(p, u2, vec4(0.090909091));
    p = fma(p, u2, vec4(0.11111111));
    p = fma(p, u2, vec4(0.14285714));
    p = fma(p, u2, vec4(0.2));
    p = fma(p, u2, vec4(0.33333333));
    return fma(p, u2, vec4(1.0));
}

// log(1 + e) for 0 <= e <= 1, relative to the result.
fn log1p_unit4(e: vec4<f32>) -> vec4<f32> {
    let u = e / (2.0 + e);
    return 2.0 * u * atanh_series4(u * u);
}
fn log1p_unit(e: f32) -> f32 { return log1p_unit4(vec4(e)).x; }

// log(x) for a positive normal x: x = 2^k f with f in [0.707, 1.414), and f - 1 is exact.
fn accurate_log4(x: vec4<f32>) -> vec4<f32> {
    let k = (bitcast<vec4<i32>>(x) - vec4(0x3f3504f3)) >> vec4(23u);
    let f = bitcast<vec4<f32>>(bitcast<vec4<i32>>(x) - (k << vec4(23u)));
    let u = (f - 1.0) / (f + 1.0);
    return fma(vec4<f32>(k), vec4(LN_2), 2.0 * u * atanh_series4(u * u));
}
fn accurate_log(x: f32) -> f32 { return accurate_log4(vec4(x)).x; }

// 0 * inf is 0: what has no weight does not count.
fn weighted(w: f32, x: f32) -> f32 { return select(w * x, 0.0, w == 0.0); }
fn weighted4(w: vec4<f32>, x: vec4<f32>) -> vec4<f32> { return select(w * x, vec4(0.0), w == vec4(0.0)); }

// Softplus and sigmoid of z and of -z, from one exponential.
struct Margin4 {
    softplus: vec4<f32>,
    softplus_of_negative: vec4<f32>,
    sigmoid: vec4<f32>,
    sigmoid_of_negative: vec4<f32>,
}

fn margin_of4(z: vec4<f32>) -> Margin4 {
    let e = accurate_exp4(-abs(z));
    let l = log1p_unit4(e);
    let large = 1.0 / (1.0 + e);
    let small = e / (1.0 + e);
    let positive = z >= vec4(0.0);
    return Margin4(
        max(z, vec4(0.0)) + l,
        max(-z, vec4(0.0)) + l,
        select(small, large, positive),
        select(large, small, positive),
    );
}

struct Margin {
    softplus: f32,
    softplus_of_negative: f32,
    sigmoid: f32,
    sigmoid_of_negative: f32,
}

fn margin_of(z: f32) -> Margin {
    let m = margin_of4(vec4(z));
    return Margin(m.softplus.x, m.softplus_of_negative.x, m.sigmoid.x, m.sigmoid_of_negative.x);
}
