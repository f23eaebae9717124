// Elementary functions of one row, to a few ULP. WGSL's own log has only an absolute bound around 1 and there is no log1p,
// which is where a confident row's loss lives; its exp may lose 2|x| ULP.
// Provides: LN_2, accurate_exp, accurate_log, log1p_unit, margin_of, is_nan, is_infinite.

const LN_2 = 0.69314718;

// NaN and infinities by their bits: compilers may assume that x != x is false.
fn is_nan(x: f32) -> bool { return (bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u; }
fn is_infinite(x: f32) -> bool { return (bitcast<u32>(x) & 0x7fffffffu) == 0x7f800000u; }

// exp(x) for x <= 0: 2^k exp(r) with |r| <= ln2/2, ln 2 in two parts so that k * ln 2 is exact enough, Taylor to r^7
// (truncation 2e-8 r at the edge). Below -87.3 the result is 0: float32 denormals are flushed by some devices.
fn accurate_exp(x: f32) -> f32 {
    let k = round(max(x, -88.0) * 1.4426950);
    let r = fma(-k, -2.1219444e-4, fma(-k, 0.693359375, max(x, -88.0)));
    var p = 1.9841270e-4;
    p = fma(p, r, 1.3888889e-3);
    p = fma(p, r, 8.3333333e-3);
    p = fma(p, r, 4.1666667e-2);
    p = fma(p, r, 1.6666667e-1);
    p = fma(p, r, 0.5);
    p = fma(p, r, 1.0);
    p = fma(p, r, 1.0);
    return select(p * bitcast<f32>(u32(i32(k) + 127) << 23u), 0.0, x < -87.3);
}

// 2 atanh(u) / (2u) = 1 + u^2/3 + u^4/5 + ..., by its square; the first omitted term is below 2e-9 for u^2 <= 1/9.
fn atanh_series(u2: f32) -> f32 {
    var p = 0.058823529;
    p = fma(p, u2, 0.066666667);
    p = fma(p, u2, 0.076923077);
    p = fma(p, u2, 0.090909091);
    p = fma(p, u2, 0.11111111);
    p = fma(p, u2, 0.14285714);
    p = fma(p, u2, 0.2);
    p = fma(p, u2, 0.33333333);
    return fma(p, u2, 1.0);
}

// log(1 + e) for 0 <= e <= 1, relative to the result.
fn log1p_unit(e: f32) -> f32 {
    let u = e / (2.0 + e);
    return 2.0 * u * atanh_series(u * u);
}

// log(x) for a positive normal x: x = 2^k f with f in [0.707, 1.414), and f - 1 is exact.
fn accurate_log(x: f32) -> f32 {
    let k = (bitcast<i32>(x) - 0x3f3504f3) >> 23u;
    let f = bitcast<f32>(bitcast<i32>(x) - (k << 23u));
    let u = (f - 1.0) / (f + 1.0);
    return fma(f32(k), LN_2, 2.0 * u * atanh_series(u * u));
}

// Softplus and sigmoid of z and of -z, from one exponential.
struct Margin {
    softplus: f32,
    softplus_of_negative: f32,
    sigmoid: f32,
    sigmoid_of_negative: f32,
}

fn margin_of(z: f32) -> Margin {
    let e = accurate_exp(-abs(z));
    let l = log1p_unit(e);
    let large = 1.0 / (1.0 + e);
    let small = e / (1.0 + e);
    return Margin(
        max(z, 0.0) + l,
        max(-z, 0.0) + l,
        select(small, large, z >= 0.0),
        select(large, small, z >= 0.0),
    );
}
