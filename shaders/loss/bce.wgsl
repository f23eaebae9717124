// Binary cross-entropy of probabilities, in nats: -t max(log p, -100) - (1 - t) max(log(1 - p), -100), and
// (p - t) / max(p (1 - p), 1e-12).
// Needs: math. Provides: the loss of the element schedule.

struct Element {
    value: vec4<f32>,
    slope: vec4<f32>,
    bad: vec4<bool>,
}

// -log p for p in [0, 1], at most 100. Below the normal numbers, which devices may flush to 0, p is its bits times 2^-149.
fn surprisal(p: vec4<f32>) -> vec4<f32> {
    let bits = bitcast<vec4<u32>>(p);
    let tiny = bits < vec4(0x00800000u);
    let l = accurate_log4(select(p, vec4<f32>(bits), tiny)) - select(vec4(0.0), vec4(103.278929), tiny);
    return min(-l, vec4(100.0));
}

// -log(1 - p), at most 100. Up to one half it is 2 atanh(p / (2 - p)); above, 1 - p is exact.
fn surprisal_of_rest(p: vec4<f32>) -> vec4<f32> {
    let u = p / (2.0 - p);
    return select(surprisal(1.0 - p), 2.0 * u * atanh_series4(u * u), p <= vec4(0.5));
}

// By the bits, which tell NaN apart; -0 is 0.
fn outside(x: vec4<f32>) -> vec4<bool> {
    let bits = bitcast<vec4<u32>>(x);
    return (bits > vec4(0x3f800000u)) & (bits != vec4(0x80000000u));
}

fn element_loss(x: vec4<f32>, t: vec4<f32>, class_id: vec4<u32>) -> Element {
    let p = bitcast<vec4<f32>>(bitcast<vec4<u32>>(x) & vec4(0x7fffffffu));
    return Element(
        t * surprisal(p) + (1.0 - t) * surprisal_of_rest(p),
        (p - t) / max(p * (1.0 - p), vec4(1e-12)),
        outside(x) | outside(t),
    );
}
