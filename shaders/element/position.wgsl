// Which row and class the elements of a chunk belong to, and their weights.
// Needs: params, math. Provides: Position, position_of, advance, row_of, weights_of.
//
// A dividing lane is a slow lane: a position is divided out once, and then advanced by additions with a carry.

override WEIGHTS: bool = false;  // there are class or row weights

@group(0) @binding(4) var<storage, read> class_weights: array<f32>;
@group(0) @binding(5) var<storage, read> row_weights: array<f32>;

// In the mixed radix (sample, class, index within the plane of a class). Gaps between rows count as classes, beyond the last.
struct Position {
    sample: vec4<u32>,    // from the first one that the window has a part of
    class_id: vec4<u32>,
    index: vec4<u32>,
}

// Of elements that count from the start of that sample.
fn position_of(element: vec4<u32>) -> Position {
    let own = element % params.outer_stride;
    return Position(element / params.outer_stride, own / params.inner, own % params.inner);
}

fn advance(a: Position, step: Position) -> Position {
    let classes = params.outer_stride / params.inner;
    let index = a.index + step.index;
    let next_class = index >= vec4(params.inner);
    let class_id = a.class_id + step.class_id + select(vec4(0u), vec4(1u), next_class);
    let next_sample = class_id >= vec4(classes);
    return Position(
        a.sample + step.sample + select(vec4(0u), vec4(1u), next_sample),
        select(class_id, class_id - classes, next_sample),
        select(index, index - params.inner, next_class),
    );
}

// From the first row of the window's first sample.
fn row_of(p: Position) -> vec4<u32> { return p.sample * params.inner + p.index; }

// `keep` leaves out what is no element.
fn weights_of(p: Position, keep: vec4<bool>) -> vec4<f32> {
    var w = vec4(1.0);
    if !WEIGHTS { return w; }
    if (params.flags & HAS_CLASS_WEIGHTS) != 0u {
        let c = min(p.class_id, vec4(params.classes - 1u));
        w = vec4(class_weights[c.x], class_weights[c.y], class_weights[c.z], class_weights[c.w]);
    }
    if (params.flags & HAS_ROW_WEIGHTS) != 0u {
        // The base wraps around where the binding starts behind the first sample's first row.
        let r = select(vec4(0u), params.rows_base + row_of(p), keep);
        w *= vec4(row_weights[r.x], row_weights[r.y], row_weights[r.z], row_weights[r.w]);
    }
    return w;
}
