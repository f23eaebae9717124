// A team is a lane by itself: it waits for nobody.
// Needs: reduce/lane, Record of the loss. Provides: TEAM, team_of, team_rows, team_lane, team_before_stores, team_sync,
// keep_record, records.

const TEAM = 1u;

fn team_of(workgroup: u32, lane: Lane) -> u32 { return workgroup * WORKGROUP_SIZE + lane.index; }
fn team_rows(first: u32, rows: u32) -> u32 { return rows_from(first, rows); }
fn team_lane(lane: Lane, row: u32) -> Lane { return Lane(0u); }
fn team_before_stores() {}
fn team_sync() {}

// Of the rows of a group.
var<private> records: array<Record, 4>;
fn keep_record(i: u32, record: Record, lane: Lane) { records[i] = record; }
