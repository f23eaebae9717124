// Long rows, class axis last: a workgroup owns a slice of a row, so that a few rows keep all of a device busy, and a row may be
// larger than a binding. What the slices of a row come to is stored and combined in a fixed order.
//
// A call is a dispatch of each entry point in turn: find_targets where there are class indices, sum_slices, sum_slices_again where
// the row is read twice, finish_rows, and map_slices for the gradient. Where a row is larger than a binding, those that read
// logits are dispatched once for every range of slices that is bound: `count` slices from `first_slice`, counted over all rows
// of the window.
//
// Needs: place, reduce/workgroup, schedule/row_chunks, and of a loss or pass fragment also row_begin, ROW_PASSES, row_continue,
// row_finish, READS_ROW. Provides: TEAM, team_before_stores, load_logit, record_of, and the entry points.

override TEAM: u32 = WORKGROUP_SIZE;

// Of a row, from one dispatch to the next. Its stride, and that of Partial, is bounded in src/gpu/slices.rs.
struct Kept {
    logit: f32,  // of the target
    record: Record,
}

@group(0) @binding(9) var<storage, read_write> kept: array<Kept>;
@group(0) @binding(10) var<storage, read_write> partials: array<Partial>;  // of every slice, and again of the second reading

// Whatever another lane needs of the logits was read by an earlier dispatch.
fn team_before_stores() {}

// The target's class may not be bound: find_targets looked it up. Rows begin here with their own index for the element.
fn load_logit(row: u32, class_id: u32) -> f32 { return kept[row].logit; }

fn record_of(group: u32, row: u32) -> Record { return kept[group + row].record; }

fn slices_of_row() -> u32 { return (params.classes - 1u) / (4u * params.slice_chunks) + 1u; }

// A slice of all those of the window.
struct Slice {
    row: u32,
    number: u32,  // within the row
    exists: bool,
}

fn slice_of(workgroup: u32) -> Slice {
    let id = params.first_slice + workgroup;
    return Slice(id / slices_of_row(), id % slices_of_row(), workgroup < params.count);
}

// Every row has as many slices, whatever its place within a chunk leaves of the last one.
fn span_of(s: Slice, e: Extent) -> Span {
    let first = e.first + s.number * params.slice_chunks;
    let last = first + params.slice_chunks;
    return Span(min(first, e.last), min(last, e.last), s.number == 0u, s.number + 1u == slices_of_row());
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn find_targets(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(num_workgroups) grid: vec3<u32>, lane: Lane) {
    let row = (workgroup.x + workgroup.y * grid.x) * WORKGROUP_SIZE + lane.index;
    if row >= params.rows { return; }
    let class_id = excluded_class(row_begin(row, row));
    if class_id >= params.classes {
        kept[row].logit = 0.0;
        return;
    }
    let e = row_extent(row);
    let chunk = (e.begin + class_id) / 4u;
    // The first slice has the chunk in front of the interior ones, and the last slice that behind them.
    let number = select((max(chunk, e.first) - e.first) / params.slice_chunks, slices_of_row() - 1u, chunk >= e.last);
    // Before the first slice it wraps.
    if row * slices_of_row() + number - params.first_slice < params.count {
        kept[row].logit = capped(vec4(load_element(e.begin + class_id - 4u * params.first_chunk))).x;
    }
}

// Where a reading's partial of a row's first slice is.
fn partials_of(reading: u32, row: u32) -> u32 { return (reading * params.rows + row) * slices_of_row(); }

// What the slices of a row come to.
fn merged(reading: u32, row: u32, lane: Lane) -> Partial {
    let first = partials_of(reading, row);
    var acc = partial_identity();
    for (var i = lane.index; i < slices_of_row(); i += TEAM) { acc = partial_combine(acc, partials[first + i]); }
    return partial_reduce(acc, lane);
}

fn sum_slice(reading: u32, s: Slice, row: Row, lane: Lane) {
    let e = row_extent(s.row);
    let all = partial_reduce(read_span(e, span_of(s, e), row, lane), lane);
    if lane.index == 0u { partials[partials_of(reading, s.row) + s.number] = all; }
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn sum_slices(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(num_workgroups) grid: vec3<u32>, lane: Lane) {
    let s = slice_of(workgroup.x + workgroup.y * grid.x);
    if !s.exists || !READS_ROW { return; }
    sum_slice(0u, s, row_begin(s.row, s.row), lane);
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn sum_slices_again(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(num_workgroups) grid: vec3<u32>, lane: Lane) {
    let s = slice_of(workgroup.x + workgroup.y * grid.x);
    if !s.exists { return; }
    sum_slice(1u, s, row_continue(merged(0u, s.row, lane), row_begin(s.row, s.row)), lane);
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn finish_rows(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(num_workgroups) grid: vec3<u32>, lane: Lane) {
    let index = workgroup.x + workgroup.y * grid.x;
    if index >= params.rows { return; }
    var row = row_begin(index, index);
    var all = partial_identity();
    if READS_ROW {
        if ROW_PASSES == 2u { row = row_continue(merged(0u, index, lane), row); }
        all = merged(ROW_PASSES - 1u, index, lane);
    }
    let record = row_finish(all, row, lane);
    if lane.index == 0u { kept[index].record = record; }
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn map_slices(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(num_workgroups) grid: vec3<u32>, lane: Lane) {
    let s = slice_of(workgroup.x + workgroup.y * grid.x);
    if !s.exists { return; }
    let e = row_extent(s.row);
    let span = span_of(s, e);
    write_span(e, span, kept[s.row].record, lane);
    if EDGES && lane.index < EDGES_OF_ROW && select(span.back, span.front, edge_of(lane.index, e).front) {
        let group = s.row / params.group_rows * params.group_rows;
        write_edge(group, min(params.group_rows, params.rows - group), s.row - group, lane.index);
    }
}
