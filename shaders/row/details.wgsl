// What else is known of a row of one label.
// Needs: params. Provides: Details, write_details.

struct Details {
    lse: f32,
    log_prob: f32,
    argmax: u32,
    rank: u32,
}

@group(0) @binding(7) var<storage, read_write> details: array<Details>;

fn write_details(row: u32, d: Details) { details[params.details_base + row] = d; }
