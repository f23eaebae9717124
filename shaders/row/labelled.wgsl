// A row with one class index as its target.
// Needs: params, load_logit of the schedule, row/target. Provides: Row, row_begin, excluded_class, and the kinds of a gradient
// row: GRADIENT, ZERO, NOT_A_NUMBER.

struct Row {
    index: u32,
    label: Target,
    logit: f32,  // of the target
}

fn row_begin(index: u32, first_element: u32) -> Row {
    let label = row_target(index);
    // Without a target class any logit will do: its value is not used.
    return Row(index, label, load_logit(first_element, select(0u, label.class_id, label.class_id != NO_CLASS)));
}

// The class that the statistics leave out.
fn excluded_class(row: Row) -> u32 { return row.label.class_id; }

const GRADIENT = 0u;
const ZERO = 1u;          // the whole row is 0
const NOT_A_NUMBER = 2u;  // the whole row is NaN
