// A team of lanes is a workgroup.
// Needs: reduce/workgroup or reduce/subgroup, elem, place, Record of the loss. Provides: TEAM, UNIT, team_of, team_lane,
// team_before_stores, team_sync, records.

override TEAM: u32 = WORKGROUP_SIZE;
const UNIT = 16u / CHUNK_BYTES;  // chunks that a lane loads at once

fn team_of(workgroup: u32, lane: Lane) -> u32 { return workgroup; }
fn team_lane(lane: Lane) -> Lane { return lane; }
fn team_before_stores() { before_stores(); }
fn team_sync() { workgroupBarrier(); }

// Of the rows of a group.
var<workgroup> records: array<Record, 4>;
