// Binary cross-entropy of logits, in nats: q t softplus(-x) + (1 - t) softplus(x), and (1 - t) sigmoid(x) - q t sigmoid(-x).
// Needs: params, math. Provides: the loss of the element schedule.

override POS_WEIGHTS: bool = false;

@group(0) @binding(7) var<storage, read> pos_weights: array<f32>;

fn pos_weights_of(class_id: vec4<u32>) -> vec4<f32> {
    if !POS_WEIGHTS { return vec4(1.0); }
    let c = min(class_id, vec4(params.classes - 1u));
    return vec4(pos_weights[c.x], pos_weights[c.y], pos_weights[c.z], pos_weights[c.w]);
}

struct Element {
    value: vec4<f32>,
    slope: vec4<f32>,
    bad: vec4<bool>,
}

fn element_loss(x: vec4<f32>, t: vec4<f32>, class_id: vec4<u32>) -> Element {
    let m = margin_of4(x);
    let present = pos_weights_of(class_id) * t;
    let absent = 1.0 - t;
    return Element(
        weighted4(present, m.softplus_of_negative) + weighted4(absent, m.softplus),
        absent * m.sigmoid - present * m.sigmoid_of_negative,
        vec4(false),
    );
}
