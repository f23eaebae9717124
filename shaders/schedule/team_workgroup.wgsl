// A team of lanes is a workgroup.
// Needs: reduce/workgroup or reduce/subgroup, elem, place, Record of the loss. Provides: TEAM, team_of, team_rows, team_lane,
// team_before_stores, team_sync, keep_record, records.

override TEAM: u32 = WORKGROUP_SIZE;

fn team_of(workgroup: u32, lane: Lane) -> u32 { return workgroup; }
fn team_rows(first: u32, rows: u32) -> u32 { return rows_from(first, rows); }
fn team_lane(lane: Lane, row: u32) -> Lane { return lane; }
fn team_before_stores() { before_stores(); }
fn team_sync() { workgroupBarrier(); }

// Of the rows of a group.
var<workgroup> records: array<Record, 4>;
fn keep_record(i: u32, record: Record, lane: Lane) {
    if lane.index == 0u { records[i] = record; }
}
