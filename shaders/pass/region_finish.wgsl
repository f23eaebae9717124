// From the sums of every class in a group (a sample, or all of them) to the losses of its regions, and to the derivatives of
// the reduced loss by the sums, which are written over the sums.
//
// Needs: params, reduce, math, row/weights, row/status, and of the loss: CLASSES_TOGETHER, Group, group_of(base, first, lane),
// Region, region_of(sums, group). Provides: the entry point finish_regions, a workgroup a group; region_sum. `rows` counts
// positions, `count` groups.

// (groups, classes): tp, fp, fn, pointwise loss; then the derivatives by the first three, and the factor of the fourth.
@group(0) @binding(1) var<storage, read_write> regions: array<vec4<f32>>;
// (groups, classes): what adds up to the sum of the losses; of a sum of two losses, to their mean.
@group(0) @binding(2) var<storage, read_write> contributions: array<f32>;
@group(0) @binding(3) var<storage, read> survey: array<u32>;
@group(0) @binding(6) var<storage, read_write> losses: array<f32>;

const IGNORED = 1u;  // word of a survey

fn lambda_regions() -> f32 { return params.options[1].x; }
fn lambda_pointwise() -> f32 { return params.options[1].y; }
fn is_mean() -> bool { return params.options[1].w != 0.0; }  // of a sum of two losses

fn region_sum(base: u32, class_id: u32) -> vec4<f32> { return regions[base + class_id]; }

// What a position's loss is multiplied by. Its mean is over the positions that are not ignored.
fn pointwise_share() -> f32 {
    if !is_mean() { return lambda_pointwise(); }
    var count = params.rows;
    if (params.flags & IS_SURVEYED) != 0u { count -= survey[IGNORED]; }
    return select(lambda_pointwise() / f32(count), params.nan, count == 0u);
}

// The mean of a sum of two losses is that of each: nothing is left for the summary to divide.
fn divided() -> f32 { return select(1.0, gradient_scale(), is_mean()); }

fn loss_of(r: Region, weight: f32) -> f32 {
    return select(weighted(lambda_regions(), weighted(weight, r.loss)), params.nan, is_nan(r.loss));
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn finish_regions(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(num_workgroups) grid: vec3<u32>, lane: Lane) {
    let id = workgroup.x + workgroup.y * grid.x;
    if id >= params.count { return; }
    let first = select(0u, 1u, (params.flags & WITHOUT_BACKGROUND) != 0u);
    let base = id * params.classes;
    let group = group_of(base, first, lane);
    for (var c = lane.index; c < params.classes; c += WORKGROUP_SIZE) {
        let sums = regions[base + c];
        let weight = class_weight(c);
        let share = weighted(weight, pointwise_share());
        var contribution = weighted(share, sums.w);
        var slopes = vec3(0.0);
        if c >= first {
            let r = region_of(sums, group);
            let loss = loss_of(r, weight);
            let factor = lambda_regions() * gradient_scale();
            slopes = factor * vec3(weighted(weight, r.by_tp), weighted(weight, r.by_fp), weighted(weight, r.by_fn));
            if is_nan(r.loss) { slopes = vec3(params.nan); }
            if !CLASSES_TOGETHER { losses[id * (params.classes - first) + c - first] = loss; }
            if !CLASSES_TOGETHER || c == first { contribution += loss * divided(); }
        }
        contributions[base + c] = contribution;
        regions[base + c] = vec4(slopes, share);
    }
    if CLASSES_TOGETHER && lane.index == 0u { losses[id] = loss_of(region_of(vec4(0.0), group), 1.0); }
}
