// A team of lanes owns a group of rows, class axis last, and takes them one after another; or a row, where nothing is written that
// two rows might share. A team is a workgroup, or a lane by itself where rows are short or there is no lane to wait for.
//
// Needs: schedule/team_*, schedule/row_chunks, schedule/held or schedule/reread, reduce, and of a loss or pass fragment also row_begin, ROW_PASSES, row_continue,
// row_finish, READS_ROW. Provides: load_logit, record_of, and the entry points forward and forward_gradient.

// The logit of a class of the row whose class 0 is at `first_element`.
fn load_logit(first_element: u32, class_id: u32) -> f32 {
    return capped(vec4(load_element(first_element + class_id))).x;
}

fn record_of(group: u32, row: u32) -> Record { return records[row]; }

fn read_pass(held: Held, e: Extent, row: Row, lane: Lane) -> Partial {
    return partial_reduce(read_held(held, e, row, lane), lane);
}

fn read_row(held: Held, e: Extent, index: u32, lane: Lane) -> Record {
    var row = row_begin(index, e.begin);
    if !READS_ROW { return row_finish(partial_identity(), row, lane); }
    if ROW_PASSES == 2u { row = row_continue(read_pass(held, e, row, lane), row); }
    return row_finish(read_pass(held, e, row, lane), row, lane);
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn forward(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(num_workgroups) grid: vec3<u32>, lane: Lane) {
    let me = team_lane(lane);
    let row = team_of(workgroup.x + workgroup.y * grid.x, lane);
    if row < params.rows {
        let e = row_extent(row);
        let record = read_row(hold_row(e, me), e, row, me);
    }
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn forward_gradient(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(num_workgroups) grid: vec3<u32>, lane: Lane) {
    let me = team_lane(lane);
    let first = team_of(workgroup.x + workgroup.y * grid.x, lane) * params.group_rows;
    let end = min(first + params.group_rows, params.rows);
    for (var row = first; row < end; row++) {
        let e = row_extent(row);
        let held = hold_row(e, me);
        let record = read_row(held, e, row, me);
        if EDGES && me.index == 0u { records[row - first] = record; }
        write_held(held, e, record, me);
    }
    if EDGES {
        team_sync();
        // At most four rows; none in a team that only fills up the grid.
        let rows = max(end, first) - first;
        for (var i = me.index; i < EDGES_OF_ROW * rows; i += TEAM) {
            write_edge(first, rows, i / EDGES_OF_ROW, i % EDGES_OF_ROW);
        }
    }
}
