// How the lanes of a workgroup combine values, through subgroup operations: each subgroup folds its lanes, then every lane
// folds the subgroups in order.
// A workgroup that is surely one subgroup needs neither memory nor barriers.
// Needs: WORKGROUP_SIZE, MIN_SUBGROUP_SIZE. Provides: Lane, reduce_max, reduce_sum, reduce_sum_u32, reduce_min_u32.
// All lanes of the workgroup must call, and all get the result.

struct Lane {
    @builtin(local_invocation_index) index: u32,
    @builtin(subgroup_id) subgroup: u32,
    @builtin(num_subgroups) subgroups: u32,
    @builtin(subgroup_invocation_id) subgroup_lane: u32,
}

override MIN_SUBGROUP_SIZE: u32 = 4u;
override MAX_SUBGROUPS: u32 = max(WORKGROUP_SIZE / MIN_SUBGROUP_SIZE, 1u);
var<workgroup> scratch: array<vec4<u32>, MAX_SUBGROUPS>;

// The second barrier keeps the next reduction from overwriting what a slower subgroup still reads.
fn exchange(mine: vec4<u32>, lane: Lane) {
    if lane.subgroup_lane == 0u { scratch[lane.subgroup] = mine; }
    workgroupBarrier();
}

fn reduce_max(x: vec4<f32>, lane: Lane) -> vec4<f32> {
    if MAX_SUBGROUPS == 1u { return subgroupMax(x); }
    exchange(bitcast<vec4<u32>>(subgroupMax(x)), lane);
    var acc = bitcast<vec4<f32>>(scratch[0]);
    for (var i = 1u; i < lane.subgroups; i++) { acc = max(acc, bitcast<vec4<f32>>(scratch[i])); }
    workgroupBarrier();
    return acc;
}

fn reduce_sum(x: vec4<f32>, lane: Lane) -> vec4<f32> {
    if MAX_SUBGROUPS == 1u { return subgroupAdd(x); }
    exchange(bitcast<vec4<u32>>(subgroupAdd(x)), lane);
    var acc = bitcast<vec4<f32>>(scratch[0]);
    for (var i = 1u; i < lane.subgroups; i++) { acc += bitcast<vec4<f32>>(scratch[i]); }
    workgroupBarrier();
    return acc;
}

fn reduce_sum_u32(x: vec4<u32>, lane: Lane) -> vec4<u32> {
    if MAX_SUBGROUPS == 1u { return subgroupAdd(x); }
    exchange(subgroupAdd(x), lane);
    var acc = scratch[0];
    for (var i = 1u; i < lane.subgroups; i++) { acc += scratch[i]; }
    workgroupBarrier();
    return acc;
}

fn reduce_min_u32(x: vec4<u32>, lane: Lane) -> vec4<u32> {
    if MAX_SUBGROUPS == 1u { return subgroupMin(x); }
    exchange(subgroupMin(x), lane);
    var acc = scratch[0];
    for (var i = 1u; i < lane.subgroups; i++) { acc = min(acc, scratch[i]); }
    workgroupBarrier();
    return acc;
}
