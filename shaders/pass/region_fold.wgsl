// Folds the partial sums of the blocks of a region, 1024 to one: (groups, blocks, classes) to (groups, blocks / 1024, classes).
// Needs: params, reduce. Provides: the entry point fold_regions. `rows` counts groups, `count` the blocks of each.

@group(0) @binding(1) var<storage, read> read_partials: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> partials: array<vec4<f32>>;

const BLOCK = 1024u;

@compute @workgroup_size(WORKGROUP_SIZE)
fn fold_regions(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(num_workgroups) grid: vec3<u32>, lane: Lane) {
    let id = workgroup.x + workgroup.y * grid.x;
    let class_id = id % params.classes;
    // No blocks at all are folded too, into one sum of 0.
    let blocks = max((params.count + BLOCK - 1u) / BLOCK, 1u);
    let group = id / params.classes / blocks;
    let begin = id / params.classes % blocks * BLOCK;
    let end = select(0u, min(begin + BLOCK, params.count), group < params.rows);
    var sum = vec4(0.0);
    for (var i = begin + lane.index; i < end; i += WORKGROUP_SIZE) {
        sum += read_partials[(group * params.count + i) * params.classes + class_id];
    }
    let total = reduce_sum(sum, lane);
    if lane.index == 0u && group < params.rows { partials[id] = total; }
}
