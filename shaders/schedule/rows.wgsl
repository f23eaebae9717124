// A team of lanes owns a group of rows, class axis last, and takes them one after another; or a row, where nothing is written that
// two rows might share. A team is a workgroup, a subgroup, or a lane by itself.
//
// Needs: schedule/team_*, schedule/row_chunks, schedule/held or schedule/reread, reduce, and of a loss or pass fragment also
// row_begin, ROW_PASSES, row_continue, row_finish, READS_ROW. Provides: rows_from, load_logit, record_of, and the entry points
// forward and forward_gradient.

// How many of `rows` rows from `first` on there are.
fn rows_from(first: u32, rows: u32) -> u32 { return min(rows, max(params.rows, first) - first); }

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
    let row = team_of(workgroup.x + workgroup.y * grid.x, lane);
    if team_rows(row, 1u) > 0u {
        let me = team_lane(lane, row);
        // Where a team goes along without a row, the last one.
        let own = min(row, params.rows - 1u);
        let e = row_extent(own);
        _ = read_row(hold_row(e, me), e, own, me);
    }
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn forward_gradient(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(num_workgroups) grid: vec3<u32>, lane: Lane) {
    let first = team_of(workgroup.x + workgroup.y * grid.x, lane) * params.group_rows;
    let count = team_rows(first, params.group_rows);
    for (var i = 0u; i < count; i++) {
        let me = team_lane(lane, first + i);
        // Where a team goes along without a row, the last one.
        let row = min(first + i, params.rows - 1u);
        let e = row_extent(row);
        let held = hold_row(e, me);
        let record = read_row(held, e, row, me);
        if EDGES { keep_record(i, record, me); }
        write_held(held, e, record, me);
    }
    if EDGES {
        team_sync();
        // At most four rows; none in a team that only fills up the grid.
        let rows = rows_from(first, params.group_rows);
        for (var i = team_lane(lane, first).index; i < EDGES_OF_ROW * rows; i += TEAM) {
            write_edge(first, rows, i / EDGES_OF_ROW, i % EDGES_OF_ROW);
        }
    }
}
