// For schedules in which a subgroup owns rows: its lanes combine by themselves, without memory and without waiting for others.
// Provides: Lane, reduce_max, reduce_sum, reduce_sum_u32, reduce_min_u32. All lanes of the subgroup must call, and all get the
// result: as with a workgroup that is one subgroup, to the bit.

struct Lane {
    @builtin(subgroup_invocation_id) index: u32,
    @builtin(subgroup_id) subgroup: u32,
}

fn reduce_max(x: vec4<f32>, lane: Lane) -> vec4<f32> { return subgroupMax(x); }
fn reduce_sum(x: vec4<f32>, lane: Lane) -> vec4<f32> { return subgroupAdd(x); }
fn reduce_sum_u32(x: vec4<u32>, lane: Lane) -> vec4<u32> { return subgroupAdd(x); }
fn reduce_min_u32(x: vec4<u32>, lane: Lane) -> vec4<u32> { return subgroupMin(x); }
