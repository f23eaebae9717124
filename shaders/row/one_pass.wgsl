// For losses whose statistics take one reading of the row.
// Provides: ROW_PASSES, row_continue.

const ROW_PASSES = 1u;
fn row_continue(all: Partial, row: Row) -> Row { return row; }
