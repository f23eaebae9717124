// Binary hinge loss of a score x against a label y of -1 or +1: with v = max(0, margin - y x), v and -y [v > 0]; squared, v^2
// and -2 y v. The product with a label is exact, so v is rounded once.
// Needs: params. Provides: the loss of the element schedule.

override SQUARED: bool = false;

fn margin() -> f32 { return params.options[0].x; }

struct Element {
    value: vec4<f32>,
    slope: vec4<f32>,
    bad: vec4<bool>,
}

fn element_loss(x: vec4<f32>, y: vec4<f32>, class_id: vec4<u32>) -> Element {
    let v = max(margin() - y * x, vec4(0.0));
    // By the bits, which tell NaN apart.
    let bad = (bitcast<vec4<u32>>(y) & vec4(0x7fffffffu)) != vec4(0x3f800000u);
    if SQUARED { return Element(v * v, -2.0 * y * v, bad); }
    return Element(v, select(vec4(0.0), -y, v > vec4(0.0)), bad);
}
