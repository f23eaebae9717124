// Losses of every logit on its own: a workgroup owns a block of chunks, and its lanes stride over it. Loss and gradient come
// of one reading, and rows and classes matter only to weights, gaps and the names of odd values.
//
// Blocks are cut from the logits' span alone, and not by the width of a workgroup or the size of a binding.
//
// Needs: place, element/position, element/chunks or element/entries, reduce/workgroup, row/status, math, and a loss fragment:
//     struct Element { value: vec4<f32>, slope: vec4<f32>, bad: vec4<bool> }
//     fn element_loss(x: vec4<f32>, t: vec4<f32>, class_id: vec4<u32>) -> Element
// the loss, its derivative by x, and what lies outside the domain. Where x or t is NaN, value and slope may be anything.
// Provides: the entry points forward and forward_gradient.

override POSITIONS: bool = true;        // positions are tracked: for weights, gaps, and rows that are no neighbours in memory
override GAPS: bool = false;            // there are gaps between rows
override ELEMENT_LOSSES: bool = false;  // every loss is written

const BLOCK_CHUNKS = 512u;
const NO_ROW = 0xffffffffu;

// What a lane has seen of values that are no numbers, or out of the domain.
struct Oddities {
    count: vec4<u32>,
    first: vec4<u32>,  // row where positions are tracked, else element
}

fn oddities_add(a: Oddities, odd: vec4<bool>, key: vec4<u32>) -> Oddities {
    return Oddities(a.count + select(vec4(0u), vec4(1u), odd), min(a.first, select(vec4(NO_ROW), key, odd)));
}

// (how many, the first row)
fn oddities_of(a: Oddities) -> vec2<u32> {
    let key = min(min(a.first.x, a.first.y), min(a.first.z, a.first.w));
    let row = select((params.first_element + key) / params.outer_stride, key, POSITIONS);
    return vec2(a.count.x + a.count.y + a.count.z + a.count.w, row);
}

fn are_nan(x: vec4<f32>) -> vec4<bool> {
    return (bitcast<vec4<u32>>(x) & vec4(0x7fffffffu)) > vec4(0x7f800000u);
}

fn run(block: u32, lane: Lane, with_gradient: bool) {
    let begin = block * BLOCK_CHUNKS;
    let chunks = (params.count + 3u) / 4u;
    let end = min(begin + BLOCK_CHUNKS, chunks);
    let scale = gradient_scale();
    let corners = vec4(0u, 1u, 2u, 3u);
    var at = Position(vec4(0u), vec4(0u), vec4(0u));
    var stride = at;
    if POSITIONS {
        at = position_of(params.first_element + 4u * (begin + lane.index) + corners);
        stride = position_of(vec4(4u * WORKGROUP_SIZE));
    }
    var sum = vec4(0.0);
    var not_a_number = Oddities(vec4(0u), vec4(NO_ROW));
    var bad = not_a_number;
    for (var chunk = begin + lane.index; chunk < end; chunk += WORKGROUP_SIZE) {
        let element = 4u * chunk + corners;
        var keep = vec4(true);
        if MASKED { keep = element < vec4(params.count); }
        if GAPS { keep &= at.class_id < vec4(params.classes); }
        let dense = select(element, at.sample * params.classes + at.class_id, GAPS);
        let x = load_chunk(chunk);
        let t = load_targets(chunk, dense);
        let e = element_loss(x, t, at.class_id);

        let w = weights_of(at, keep);
        let odd = are_nan(x) | are_nan(t) | are_nan(e.value);
        let invalid = odd | e.bad;
        let value = select(weighted4(w, e.value), vec4(params.nan), invalid);
        sum += select(vec4(0.0), value, keep);
        let key = select(element, row_of(at), POSITIONS);
        not_a_number = oddities_add(not_a_number, odd & !e.bad & keep, key);
        bad = oddities_add(bad, e.bad & keep, key);
        if ELEMENT_LOSSES { store_losses(chunk, dense, value, keep); }
        if with_gradient {
            let g = select(weighted4(w * scale, e.slope), vec4(params.nan), invalid);
            if MASKED { store_masked(chunk, g, keep); } else { store_chunk(chunk, g); }
        }
        if POSITIONS { at = advance(at, stride); }
    }
    let total = reduce_sum(vec4((sum.x + sum.y) + (sum.z + sum.w), 0.0, 0.0, 0.0), lane).x;
    if lane.index == 0u && begin < chunks { write_partial(params.partial_base + block, total); }
    let odd = oddities_of(not_a_number);
    if odd.x > 0u { count_all_non_finite(odd.x, odd.y); }
    let wrong = oddities_of(bad);
    if wrong.x > 0u { count_all_bad(wrong.x, wrong.y); }
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn forward(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(num_workgroups) grid: vec3<u32>, lane: Lane) {
    run(workgroup.x + workgroup.y * grid.x, lane, false);
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn forward_gradient(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(num_workgroups) grid: vec3<u32>, lane: Lane) {
    run(workgroup.x + workgroup.y * grid.x, lane, true);
}
