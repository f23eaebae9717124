// Where a row's loss goes.
// Needs: params. Provides: write_loss.

@group(0) @binding(6) var<storage, read_write> losses: array<f32>;

fn write_loss(row: u32, loss: f32) { losses[params.rows_base + row] = loss; }
