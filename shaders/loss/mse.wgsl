// Squared error: (x - t)^2, and 2 (x - t).
// Provides: the loss of the element schedule.

struct Element {
    value: vec4<f32>,
    slope: vec4<f32>,
    bad: vec4<bool>,
}

fn element_loss(x: vec4<f32>, t: vec4<f32>, class_id: vec4<u32>) -> Element {
    let d = x - t;
    return Element(d * d, 2.0 * d, vec4(false));
}
