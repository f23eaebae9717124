// The terms of a Kullback-Leibler divergence, none of which is negative.
// Needs: math/elementary. Provides: divergence_terms.
//
// KL(a || b) = sum a (log a - log b) is a small difference of large terms where a and b are close. With e = log b - log a,
//     a (log a - log b) + b - a  =  a (expm1(e) - e)  >=  0
// and the sum of b - a is 0 for two distributions, so the sum of the right side is the same number, to full relative precision.

// a (expm1(e) - e) for a > 0, of a, b and their logarithms; b where a is 0.
fn divergence_terms(a: vec4<f32>, log_a: vec4<f32>, b: vec4<f32>, log_b: vec4<f32>) -> vec4<f32> {
    let e = log_b - log_a;
    // expm1(e) - e by its series, for |e| <= 0.5; the first omitted term is below 1e-8 of the sum.
    var p = vec4(2.7557319e-6);
    p = fma(p, e, vec4(2.4801587e-5));
    p = fma(p, e, vec4(1.9841270e-4));
    p = fma(p, e, vec4(1.3888889e-3));
    p = fma(p, e, vec4(8.3333333e-3));
    p = fma(p, e, vec4(4.1666667e-2));
    p = fma(p, e, vec4(1.6666667e-1));
    p = fma(p, e, vec4(0.5));
    let near = a * (e * e * p);
    let far = b - a - a * e;
    return select(select(far, near, abs(e) < vec4(0.5)), b, a == vec4(0.0));
}
