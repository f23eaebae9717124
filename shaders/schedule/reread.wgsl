// A row is read from memory again for its gradient: nothing of it is held.
// Needs: schedule/row_chunks. Provides: Held, hold_row, read_held, write_held.

struct Held {
    nothing: u32,
}

fn hold_row(e: Extent, lane: Lane) -> Held { return Held(); }

// One reading: what this lane finds.
fn read_held(h: Held, e: Extent, row: Row, lane: Lane) -> Partial { return read_span(e, whole_row(e), row, lane); }

// Writes the interior chunks.
fn write_held(h: Held, e: Extent, record: Record, lane: Lane) { write_span(e, whole_row(e), record, lane); }
