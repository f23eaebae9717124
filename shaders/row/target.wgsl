// The target of a row and its weights.
// Needs: params, row/weights, row/ignore. Provides: Target, row_target.

@group(0) @binding(3) var<storage, read> targets: array<i32>;
@group(0) @binding(5) var<storage, read> row_weights: array<f32>;

struct Target {
    class_id: u32,         // NO_CLASS where the row is ignored or its target is bad
    value: i32,         // as stored
    ignored: bool,
    bad: bool,          // neither a class nor ignored
    class_weight: f32,  // of the target's class; 0 without one
    row_weight: f32,
}

fn row_target(row: u32) -> Target {
    let i = params.rows_base + row;
    let value = targets[i];
    let ignored = is_ignored(value);
    // A negative target becomes a large unsigned one.
    let bad = !ignored && bitcast<u32>(value) >= params.classes;
    var t = Target(NO_CLASS, value, ignored, bad, 0.0, 0.0);
    if !ignored && !bad {
        t.class_id = bitcast<u32>(value);
        t.class_weight = class_weight(t.class_id);
        t.row_weight = 1.0;
        if (params.flags & HAS_ROW_WEIGHTS) != 0u { t.row_weight = row_weights[i]; }
    }
    return t;
}
