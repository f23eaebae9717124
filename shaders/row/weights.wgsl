// Weights of classes.
// Needs: params. Provides: class_weight, class_weights_of, NO_CLASS.

@group(0) @binding(4) var<storage, read> class_weights: array<f32>;

const NO_CLASS = 0xffffffffu;

fn class_weight(class_id: u32) -> f32 {
    if (params.flags & HAS_CLASS_WEIGHTS) == 0u { return 1.0; }
    return class_weights[class_id];
}

// Positions outside the row have class NO_CLASS and weight 0.
fn class_weights_of(class_id: vec4<u32>) -> vec4<f32> {
    let inside = class_id < vec4(params.classes);
    if (params.flags & HAS_CLASS_WEIGHTS) == 0u { return select(vec4(0.0), vec4(1.0), inside); }
    let c = select(vec4(0u), class_id, inside);
    return select(
        vec4(0.0),
        vec4(class_weights[c.x], class_weights[c.y], class_weights[c.z], class_weights[c.w]),
        inside,
    );
}
