// The yardstick of passes that only read: 16 bytes an invocation and load, four of them in flight, added up to one number an
// invocation, so that none of them can be left out.

override WORKGROUP_SIZE: u32 = 256u;
override STEPS: u32 = 1u;  // of four chunks an invocation

@group(0) @binding(0) var<storage, read> source: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read_write> sums: array<f32>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn load(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let last = arrayLength(&source) - 1u;
    let team = workgroup.x + workgroup.y * grid.x;
    let first = 4u * STEPS * WORKGROUP_SIZE * team + lane;
    var a = vec4(0.0);
    var b = vec4(0.0);
    var c = vec4(0.0);
    var d = vec4(0.0);
    for (var step = 0u; step < STEPS; step++) {
        // Past the end this is the last chunk again, which is 0.
        let i = min(first + (4u * step + vec4(0u, 1u, 2u, 3u)) * WORKGROUP_SIZE, vec4(last));
        a += source[i.x];
        b += source[i.y];
        c += source[i.z];
        d += source[i.w];
    }
    let invocation = team * WORKGROUP_SIZE + lane;
    if (invocation < arrayLength(&sums)) {
        sums[invocation] = dot((a + b) + (c + d), vec4(1.0));
    }
}
