// The soft cap on logits: x' = cap tanh(x / cap), and its slope 1 - tanh^2.
// Needs: params, math/elementary. Provides: capped, cap_slope; without SOFTCAP the identity, at no cost.
//
// With e = exp(-2|u|): tanh|u| = (1 - e) / (1 + e) and the slope is 4e / (1 + e)^2, which keeps its digits where tanh is 1
// in float32. Near 0, where 1 - e cancels, tanh is its series.

override SOFTCAP: bool = false;

fn decay(x: vec4<f32>) -> vec4<f32> { return accurate_exp4(-2.0 * abs(x) / params.softcap); }

fn capped(x: vec4<f32>) -> vec4<f32> {
    if !SOFTCAP { return x; }
    let u = abs(x) / params.softcap;
    let e = decay(x);
    let u2 = u * u;
    // To u^11, the first omitted term is below 2e-8 of u for u <= 0.35.
    var p = vec4(-8.863235530e-3);
    p = fma(p, u2, vec4(2.186948854e-2));
    p = fma(p, u2, vec4(-5.396825397e-2));
    p = fma(p, u2, vec4(0.1333333333));
    p = fma(p, u2, vec4(-0.3333333333));
    let small = fma(u * u2, p, u);
    let t = params.softcap * select((1.0 - e) / (1.0 + e), small, u < vec4(0.35));
    // NaN stays NaN, which select would drop in the comparison.
    let is_nan = (bitcast<vec4<u32>>(x) & vec4(0x7fffffffu)) > vec4(0x7f800000u);
    return select(select(t, -t, x < vec4(0.0)), x, is_nan);
}

fn cap_slope(x: vec4<f32>) -> vec4<f32> {
    if !SOFTCAP { return vec4(1.0); }
    let e = decay(x);
    return 4.0 * e / ((1.0 + e) * (1.0 + e));
}
