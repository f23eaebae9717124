// For schedules in which a lane owns whole rows: what it holds is the total already.
// Provides: Lane, reduce_max, reduce_sum, reduce_sum_u32, reduce_min_u32.

struct Lane {
    // Schedules make it 0 for the loss: every lane writes the results of its own rows.
    @builtin(local_invocation_index) index: u32,
}

fn reduce_max(x: vec4<f32>, lane: Lane) -> vec4<f32> { return x; }
fn reduce_sum(x: vec4<f32>, lane: Lane) -> vec4<f32> { return x; }
fn reduce_sum_u32(x: vec4<u32>, lane: Lane) -> vec4<u32> { return x; }
fn reduce_min_u32(x: vec4<u32>, lane: Lane) -> vec4<u32> { return x; }
