// For schedules in which a lane owns whole rows: what it holds is the total already.
// Provides: Lane, reduce_max, reduce_sum, reduce_sum_u32, reduce_min_u32.

struct Lane {
    index: u32,  // 0: every lane writes the results of its own rows
}

fn reduce_max(x: vec4<f32>, lane: Lane) -> vec4<f32> { return x; }
fn reduce_sum(x: vec4<f32>, lane: Lane) -> vec4<f32> { return x; }
fn reduce_sum_u32(x: vec4<u32>, lane: Lane) -> vec4<u32> { return x; }
fn reduce_min_u32(x: vec4<u32>, lane: Lane) -> vec4<u32> { return x; }
