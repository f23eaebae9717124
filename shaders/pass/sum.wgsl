// Sum of a vector in a fixed tree: each workgroup folds a block of 1024 elements, and blocks are folded again until one
// is left. A running sum is at most 1024 / WORKGROUP_SIZE long, so the rounding error does not grow with the vector.
// Needs: params, reduce. Provides: the entry point sum_blocks.

@group(0) @binding(1) var<storage, read> vector: array<f32>;
@group(0) @binding(2) var<storage, read_write> partials: array<f32>;

const BLOCK = 1024u;

@compute @workgroup_size(WORKGROUP_SIZE)
fn sum_blocks(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(num_workgroups) grid: vec3<u32>, lane: Lane) {
    let block = workgroup.x + workgroup.y * grid.x;
    let begin = block * BLOCK;
    let end = min(begin + BLOCK, params.count);
    var sum = 0.0;
    for (var i = begin + lane.index; i < end; i += WORKGROUP_SIZE) { sum += vector[params.first_element + i]; }
    let total = reduce_sum(vec4(sum, 0.0, 0.0, 0.0), lane).x;
    if lane.index == 0u && (block == 0u || begin < params.count) { partials[params.partial_base + block] = total; }
}
