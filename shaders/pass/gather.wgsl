// out[r] = x[r, target[r]]: the target's entry of each row, a lane a row. An ignored row gives 0, a bad target NaN.
// Needs: params, row/target. Provides: the entry point gather.

@group(0) @binding(1) var<storage, read> values: array<f32>;
@group(0) @binding(2) var<storage, read_write> gathered: array<f32>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn gather(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(num_workgroups) grid: vec3<u32>, lane: Lane) {
    let row = (workgroup.x + workgroup.y * grid.x) * WORKGROUP_SIZE + lane.index;
    if row >= params.rows { return; }
    let t = row_target(row);
    var x = select(0.0, params.nan, t.bad);
    if t.class_id != NO_CLASS { x = values[params.logits_base + row * params.classes + t.class_id]; }
    gathered[params.rows_base + row] = x;
}
