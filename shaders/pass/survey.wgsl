// Looks at the targets alone, before any logit is read: the sum of weights that the mean divides by, and what is ignored
// or bad. Workgroups fold blocks of 1024 rows, then blocks of 1024 partials, in a fixed order.
// Needs: params, reduce, row/target. Provides: the entry points survey_rows and survey_partials.

struct Survey {
    weight: f32,
    ignored: u32,
    first_ignored: u32,  // ABSENT where there is none
    bad: u32,
    first_bad: u32,
    bad_value: i32,      // the target of that row
}

@group(0) @binding(1) var<storage, read> read_surveys: array<Survey>;
@group(0) @binding(2) var<storage, read_write> surveys: array<Survey>;

const BLOCK = 1024u;
const ABSENT = 0xffffffffu;

fn survey_identity() -> Survey { return Survey(0.0, 0u, ABSENT, 0u, ABSENT, 0); }

fn survey_combine(a: Survey, b: Survey) -> Survey {
    return Survey(
        a.weight + b.weight,
        a.ignored + b.ignored,
        min(a.first_ignored, b.first_ignored),
        a.bad + b.bad,
        min(a.first_bad, b.first_bad),
        select(a.bad_value, b.bad_value, b.first_bad < a.first_bad),
    );
}

fn survey_row(row: u32) -> Survey {
    let t = row_target(row);
    let index = params.first_row + row;
    return Survey(
        select(t.class_weight * t.row_weight, t.row_weight, (params.flags & COUNT_ROWS) != 0u),
        u32(t.ignored),
        select(ABSENT, index, t.ignored),
        u32(t.bad),
        select(ABSENT, index, t.bad),
        t.value,
    );
}

fn survey_reduce(mine: Survey, lane: Lane) -> Survey {
    let weight = reduce_sum(vec4(mine.weight, 0.0, 0.0, 0.0), lane).x;
    let counts = reduce_sum_u32(vec4(mine.ignored, mine.bad, 0u, 0u), lane);
    let firsts = reduce_min_u32(vec4(mine.first_ignored, mine.first_bad, ABSENT, ABSENT), lane);
    // The lane that saw the first bad row hands over its value.
    let seen = select(0u, bitcast<u32>(mine.bad_value), mine.first_bad == firsts.y && firsts.y != ABSENT);
    let value = reduce_sum_u32(vec4(seen, 0u, 0u, 0u), lane).x;
    return Survey(weight, counts.x, firsts.x, counts.y, firsts.y, bitcast<i32>(value));
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn survey_rows(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(num_workgroups) grid: vec3<u32>, lane: Lane) {
    let block = workgroup.x + workgroup.y * grid.x;
    let begin = block * BLOCK;
    let end = min(begin + BLOCK, params.rows);
    var mine = survey_identity();
    for (var i = begin + lane.index; i < end; i += WORKGROUP_SIZE) { mine = survey_combine(mine, survey_row(i)); }
    let total = survey_reduce(mine, lane);
    if lane.index == 0u && (block == 0u || begin < params.rows) { surveys[params.partial_base + block] = total; }
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn survey_partials(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(num_workgroups) grid: vec3<u32>, lane: Lane) {
    let block = workgroup.x + workgroup.y * grid.x;
    let begin = block * BLOCK;
    let end = min(begin + BLOCK, params.count);
    var mine = survey_identity();
    for (var i = begin + lane.index; i < end; i += WORKGROUP_SIZE) {
        mine = survey_combine(mine, read_surveys[params.first_element + i]);
    }
    let total = survey_reduce(mine, lane);
    if lane.index == 0u && (block == 0u || begin < params.count) { surveys[params.partial_base + block] = total; }
}
