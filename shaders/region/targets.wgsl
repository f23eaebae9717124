// Targets of four neighbouring positions: class indices, or one value a logit.
// Needs: params, row/ignore, schedule/quads. Provides: Labels, labels_of, targets_at, targets_of, NO_CLASS.

override DENSE: bool = false;  // one value a logit

// int32 class indices, or float32 values: two variables at one binding would be a conflict.
@group(0) @binding(3) var<storage, read> targets: array<u32>;

const NO_CLASS = 0xffffffffu;

struct Labels {
    counts: vec4<bool>,    // the position is there and not ignored
    bad: vec4<bool>,       // its class index is none
    class_id: vec4<u32>,   // NO_CLASS without one
    first: u32,            // entry of class 0 of the first position in dense targets
}

fn labels_of(q: Quad) -> Labels {
    var l = Labels(vec4(0u, 1u, 2u, 3u) < vec4(q.count), vec4(false), vec4(NO_CLASS), 0u);
    if DENSE {
        let sample = q.row / params.inner;
        l.first = params.dense_base + sample * (params.classes * params.inner) + q.row % params.inner;
        return l;
    }
    for (var i = 0u; i < q.count; i++) {
        let value = targets[params.rows_base + q.row + i];
        if is_ignored(bitcast<i32>(value)) {
            l.counts[i] = false;
        } else if value < params.classes {
            l.class_id[i] = value;
        } else {
            // A negative index is a large unsigned one.
            l.bad[i] = true;
        }
    }
    return l;
}

// One class a position; where there are fewer positions, the last one again.
fn targets_at(l: Labels, q: Quad, class_id: vec4<u32>) -> vec4<f32> {
    if !DENSE { return select(vec4(0.0), vec4(1.0), l.class_id == class_id); }
    let e = l.first + class_id * params.inner + min(vec4(0u, 1u, 2u, 3u), vec4(q.count - 1u));
    return bitcast<vec4<f32>>(vec4(targets[e.x], targets[e.y], targets[e.z], targets[e.w]));
}
fn targets_of(l: Labels, q: Quad, class_id: u32) -> vec4<f32> { return targets_at(l, q, vec4(class_id)); }
