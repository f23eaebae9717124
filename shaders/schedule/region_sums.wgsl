// How far predictions and targets overlap: for every class the sums over a block of positions of
//     tp = sum p t,   fp = sum p (1 - t),   fn = sum (1 - p) t,   and the pointwise loss,
// or with SQUARED sum (p - t)^2 in place of fp, and 0 in place of fn. None is a difference of larger sums, so a segmentation
// that is nearly right keeps its digits.
//
// A workgroup takes a block of four quads a lane, of one sample or, where a region spans all samples, of a few. A lane finds the
// softmax of its sixteen positions, then all lanes go through the classes together.
//
// Needs: place/none, reduce, math, schedule/quads, region/*, row/status. Provides: the entry point region_sums. A section is what
// blocks do not reach beyond: `group_rows` samples.

override SQUARED: bool = false;

@group(0) @binding(6) var<storage, read_write> partials: array<vec4<f32>>;  // (blocks, classes)

const QUADS_OF_LANE = 4u;

struct Work {
    quad: Quad,
    labels: Labels,
    positions: Positions,
}

fn work_of(block: u32, index: u32) -> Work {
    let section_quads = params.group_rows * quads_of_sample();
    let blocks = (section_quads + QUADS_OF_LANE * WORKGROUP_SIZE - 1u) / (QUADS_OF_LANE * WORKGROUP_SIZE);
    let i = block % blocks * (QUADS_OF_LANE * WORKGROUP_SIZE) + index;
    var q = Quad(0u, 0u, 0u);
    if i < section_quads && block < params.count { q = quad_of(block / blocks * section_quads + i); }
    if q.count == 0u {
        return Work(
            q,
            Labels(vec4(false), vec4(false), vec4(NO_CLASS), 0u),
            Positions(vec4(0.0), vec4(0.0), vec4(0u), vec4(0u), vec4(true)),
        );
    }
    return Work(q, labels_of(q), positions_of(q));
}

// What counts of four positions.
fn total(w: Work, x: vec4<f32>, spoilt: vec4<bool>) -> f32 {
    let counted = select(vec4(0.0), select(x, vec4(params.nan), spoilt), w.labels.counts);
    return (counted.x + counted.y) + (counted.z + counted.w);
}

struct ClassSums {
    sums: vec4<f32>,
    lost: vec4<bool>,  // positions that count and have no prediction
}

fn class_sums(w: Work, class_id: u32) -> ClassSums {
    if w.quad.count == 0u { return ClassSums(vec4(0.0), vec4(false)); }
    let t = targets_of(w.labels, w.quad, class_id);
    let p = predict(w.positions, load_positions(w.quad, class_id));
    let lost = are_nan(p.p);
    let spoilt = lost | w.labels.bad;
    var wrong = p.p * (1.0 - t);
    var missed = p.miss * t;
    if SQUARED {
        let excess = wrong - missed;
        wrong = excess * excess;
        missed = vec4(0.0);
    }
    var term = 0.0;
    if POINTWISE { term = total(w, pointwise_loss(p, t), spoilt); }
    return ClassSums(
        vec4(total(w, p.p * t, spoilt), total(w, wrong, spoilt), total(w, missed, spoilt), term),
        lost & w.labels.counts & vec4(is_used(class_id)),
    );
}

// Whether a loss has anything of the class.
fn is_used(class_id: u32) -> bool {
    return POINTWISE || class_id > 0u || (params.flags & WITHOUT_BACKGROUND) == 0u;
}

fn count_lost(q: Quad, lost: vec4<bool>) {
    for (var i = 0u; i < q.count; i++) {
        if lost[i] { count_non_finite(q.row + i); }
    }
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn region_sums(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(num_workgroups) grid: vec3<u32>, lane: Lane) {
    let block = workgroup.x + workgroup.y * grid.x;
    let a = work_of(block, lane.index);
    let b = work_of(block, lane.index + WORKGROUP_SIZE);
    let c = work_of(block, lane.index + 2u * WORKGROUP_SIZE);
    let d = work_of(block, lane.index + 3u * WORKGROUP_SIZE);
    let none = vec4(false);
    var lost = array<vec4<bool>, 4>(none, none, none, none);
    for (var class_id = 0u; class_id < params.classes; class_id++) {
        let of_a = class_sums(a, class_id);
        let of_b = class_sums(b, class_id);
        let of_c = class_sums(c, class_id);
        let of_d = class_sums(d, class_id);
        lost[0] |= of_a.lost;
        lost[1] |= of_b.lost;
        lost[2] |= of_c.lost;
        lost[3] |= of_d.lost;
        let sums = reduce_sum((of_a.sums + of_b.sums) + (of_c.sums + of_d.sums), lane);
        if lane.index == 0u && block < params.count {
            partials[(params.partial_base + block) * params.classes + class_id] = sums;
        }
    }
    count_lost(a.quad, lost[0]);
    count_lost(b.quad, lost[1]);
    count_lost(c.quad, lost[2]);
    count_lost(d.quad, lost[3]);
}
