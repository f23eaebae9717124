// Softmax of each row, or its logarithm, by the row schedules:
//     softmax(x)_c = e^(x_c - max) / sum,    log_softmax(x)_c = (x_c - max) - log(sum).
// A row with NaN, +inf or nothing but -inf becomes NaN.
//
// Needs: row/max_sum, row/softmax, row/one_pass, math. Provides: the loss of the row schedules.

override LOGARITHM: bool = false;
const READS_ROW = true;
const NO_CLASS = 0xffffffffu;

fn exponent_scale() -> f32 { return params.options[0].x; }  // log2(e) / temperature
fn inverse_temperature() -> f32 { return params.options[0].y; }

struct Row {
    index: u32,
}

fn row_begin(index: u32, first_element: u32) -> Row { return Row(index); }
fn excluded_class(row: Row) -> u32 { return NO_CLASS; }

struct Partial {
    all: MaxSum,
}

fn partial_identity() -> Partial { return Partial(max_sum_identity()); }
fn partial_raise(a: Partial, candidate: f32) -> Partial { return Partial(max_sum_raise(a.all, candidate)); }
fn partial_add(a: Partial, x: vec4<f32>, class_id: vec4<u32>, row: Row) -> Partial { return Partial(max_sum_add(a.all, x)); }
fn partial_combine(a: Partial, b: Partial) -> Partial { return Partial(max_sum_combine(a.all, b.all)); }

fn partial_reduce(mine: Partial, lane: Lane) -> Partial { return Partial(max_sum_reduce(mine.all, lane)); }

struct Record {
    softmax: Softmax,
}

fn row_finish(all: Partial, row: Row, lane: Lane) -> Record { return Record(softmax_of(all.all)); }

fn is_constant(r: Record) -> bool { return !is_finite(r.softmax); }
fn constant(r: Record) -> f32 { return params.nan; }

fn row_map(x: vec4<f32>, class_id: vec4<u32>, r: Record) -> vec4<f32> {
    if LOGARITHM { return log_prob_of(r.softmax, x); }
    return prob_of(r.softmax, x);
}

fn special_class(r: Record) -> u32 { return NO_CLASS; }
fn row_map_special(x: vec4<f32>, class_id: vec4<u32>, r: Record) -> vec4<f32> { return row_map(x, class_id, r); }
