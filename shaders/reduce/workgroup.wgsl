// How the lanes of a workgroup combine values, through workgroup memory: leaders fold sixteen lanes each, then every lane
// folds the leaders. The order is fixed, so the same input gives the same bits.
// Needs: WORKGROUP_SIZE (a power of two). Provides: Lane, reduce_max, reduce_sum, reduce_sum_u32, reduce_min_u32.
// All lanes of the workgroup must call, and all get the result.

struct Lane {
    @builtin(local_invocation_index) index: u32,
}

override FAN: u32 = min(WORKGROUP_SIZE, 16u);
override LEADERS: u32 = WORKGROUP_SIZE / FAN;
var<workgroup> scratch: array<vec4<u32>, WORKGROUP_SIZE>;
var<workgroup> folded: array<vec4<u32>, LEADERS>;

// One barrier after each of the two writes suffices: the next reduction writes scratch after this one's second barrier,
// when the leaders have read it, and folded after its own first barrier, when every lane has read that.
fn reduce_max(x: vec4<f32>, lane: Lane) -> vec4<f32> {
    scratch[lane.index] = bitcast<vec4<u32>>(x);
    workgroupBarrier();
    if lane.index < LEADERS {
        var acc = bitcast<vec4<f32>>(scratch[lane.index * FAN]);
        for (var i = 1u; i < FAN; i++) { acc = max(acc, bitcast<vec4<f32>>(scratch[lane.index * FAN + i])); }
        folded[lane.index] = bitcast<vec4<u32>>(acc);
    }
    workgroupBarrier();
    var acc = bitcast<vec4<f32>>(folded[0]);
    for (var i = 1u; i < LEADERS; i++) { acc = max(acc, bitcast<vec4<f32>>(folded[i])); }
    return acc;
}

fn reduce_sum(x: vec4<f32>, lane: Lane) -> vec4<f32> {
    scratch[lane.index] = bitcast<vec4<u32>>(x);
    workgroupBarrier();
    if lane.index < LEADERS {
        var acc = bitcast<vec4<f32>>(scratch[lane.index * FAN]);
        for (var i = 1u; i < FAN; i++) { acc += bitcast<vec4<f32>>(scratch[lane.index * FAN + i]); }
        folded[lane.index] = bitcast<vec4<u32>>(acc);
    }
    workgroupBarrier();
    var acc = bitcast<vec4<f32>>(folded[0]);
    for (var i = 1u; i < LEADERS; i++) { acc += bitcast<vec4<f32>>(folded[i]); }
    return acc;
}

fn reduce_sum_u32(x: vec4<u32>, lane: Lane) -> vec4<u32> {
    scratch[lane.index] = x;
    workgroupBarrier();
    if lane.index < LEADERS {
        var acc = scratch[lane.index * FAN];
        for (var i = 1u; i < FAN; i++) { acc += scratch[lane.index * FAN + i]; }
        folded[lane.index] = acc;
    }
    workgroupBarrier();
    var acc = folded[0];
    for (var i = 1u; i < LEADERS; i++) { acc += folded[i]; }
    return acc;
}

fn reduce_min_u32(x: vec4<u32>, lane: Lane) -> vec4<u32> {
    scratch[lane.index] = x;
    workgroupBarrier();
    if lane.index < LEADERS {
        var acc = scratch[lane.index * FAN];
        for (var i = 1u; i < FAN; i++) { acc = min(acc, scratch[lane.index * FAN + i]); }
        folded[lane.index] = acc;
    }
    workgroupBarrier();
    var acc = folded[0];
    for (var i = 1u; i < LEADERS; i++) { acc = min(acc, folded[i]); }
    return acc;
}
