// A team of lanes is a subgroup, and a workgroup has several. For devices whose subgroups all have MIN_SUBGROUP_SIZE lanes.
// Needs: WORKGROUP_SIZE, reduce/one_subgroup, elem, place, Record of the loss. Provides: TEAM, team_of, team_rows, team_lane,
// team_before_stores, team_sync, keep_record, records.
//
// All subgroups of a workgroup take as many rows, because subgroup operations, and the barrier of a gradient in place, are for
// control flow that is uniform. One that has none is idle: it goes along on the last row, as lanes so far up that no chunk, no
// edge and no result is theirs.

override MIN_SUBGROUP_SIZE: u32 = 4u;
override TEAM: u32 = MIN_SUBGROUP_SIZE;
override TEAMS: u32 = WORKGROUP_SIZE / MIN_SUBGROUP_SIZE;
const IDLE = 0x20000000u;  // a binding has fewer chunks, and UNIT * IDLE does not wrap

fn team_of(workgroup: u32, lane: Lane) -> u32 { return workgroup * TEAMS + lane.subgroup; }
fn team_rows(first: u32, rows: u32) -> u32 { return rows; }
fn team_lane(lane: Lane, row: u32) -> Lane {
    return Lane(select(IDLE, lane.index, row < params.rows), lane.subgroup);
}
fn team_before_stores() { before_stores(); }
fn team_sync() {}

// Of the rows of a group: every lane finds them for itself.
var<private> records: array<Record, 4>;
fn keep_record(i: u32, record: Record, lane: Lane) { records[i] = record; }
