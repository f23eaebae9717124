// The yardstick: a plain copy, 16 bytes an invocation and step, four of them in flight.

override WORKGROUP_SIZE: u32 = 256u;
override STEPS: u32 = 1u;  // of four chunks an invocation

@group(0) @binding(0) var<storage, read> source: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read_write> destination: array<vec4<f32>>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn copy(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let last = arrayLength(&source) - 1u;
    let first = 4u * STEPS * WORKGROUP_SIZE * (workgroup.x + workgroup.y * grid.x) + lane;
    for (var step = 0u; step < STEPS; step++) {
        let i = min(first + (4u * step + vec4(0u, 1u, 2u, 3u)) * WORKGROUP_SIZE, vec4(last));
        let a = source[i.x];
        let b = source[i.y];
        let c = source[i.z];
        let d = source[i.w];
        destination[i.x] = a;
        destination[i.y] = b;
        destination[i.z] = c;
        destination[i.w] = d;
    }
}
