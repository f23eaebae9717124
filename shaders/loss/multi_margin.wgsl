// Multi-class margin loss: w_t / K sum over c != t of max(0, margin - x_t + x_c)^p, p 1 or 2.
//
// Needs: row/max_sum, row/order, row/labelled, row/rest, row/one_pass, row/result, row/details, row/status, math. Provides: the loss
// of the row schedules.

const READS_ROW = true;
override SQUARED: bool = false;  // p = 2
override DETAILS: bool = false;  // of the softmax of the scores

fn exponent_scale() -> f32 { return params.options[0].x; }  // log2(e)
fn inverse_temperature() -> f32 { return 1.0; }
fn margin() -> f32 { return params.options[0].y; }

struct Partial {
    rest: MaxSum,         // of the other classes; with DETAILS only
    order: Order,
    violation: vec4<f32>, // sum of max(0, margin - x_t + x_c)^p
    slope: vec4<f32>,     // sum of its derivative by x_c
    largest: f32,
    magnitude: vec4<u32>, // largest |x| seen, as bits shifted left by one: above INFINITE means NaN
}

fn partial_identity() -> Partial {
    return Partial(max_sum_identity(), order_identity(), vec4(0.0), vec4(0.0), params.minus_infinity, vec4(0u));
}

fn partial_raise(a: Partial, candidate: f32) -> Partial {
    var r = a;
    r.largest = max(a.largest, candidate);
    if DETAILS { r.rest = max_sum_raise(a.rest, candidate); }
    return r;
}

// A masked position holds -inf and violates nothing, neither where the target's logit is -inf, so that v is NaN.
fn violation_of(x: vec4<f32>, target_logit: f32) -> vec4<f32> {
    let v = margin() - target_logit + x;
    return select(vec4(0.0), v, v > vec4(0.0));
}
fn slope_of(v: vec4<f32>) -> vec4<f32> {
    if SQUARED { return 2.0 * v; }
    return select(vec4(0.0), vec4(1.0), v > vec4(0.0));
}

fn partial_add(a: Partial, x: vec4<f32>, class_id: vec4<u32>, row: Row) -> Partial {
    var r = a;
    let v = violation_of(x, row.logit);
    r.violation += select(v, v * v, SQUARED);
    r.slope += slope_of(v);
    r.magnitude = max(a.magnitude, bitcast<vec4<u32>>(x) << vec4(1u));
    if DETAILS {
        r.rest = max_sum_add(a.rest, x);
        r.order = order_add(a.order, x, class_id, row.logit, row.label.class_id);
    }
    return r;
}

fn partial_combine(a: Partial, b: Partial) -> Partial {
    return Partial(
        max_sum_combine(a.rest, b.rest),
        order_combine(a.order, b.order),
        a.violation + b.violation,
        a.slope + b.slope,
        max(a.largest, b.largest),
        max(a.magnitude, b.magnitude),
    );
}

// Over all lanes: each sum is then in the first of its four.
fn partial_reduce(mine: Partial, lane: Lane) -> Partial {
    let sums = reduce_sum(vec4(dot(mine.violation, vec4(1.0)), dot(mine.slope, vec4(1.0)), 0.0, 0.0), lane);
    let has_nan = select(0.0, 1.0, any(mine.magnitude > vec4(INFINITE)));
    let highest = reduce_max(vec4(mine.largest, has_nan, 0.0, 0.0), lane);
    var all = partial_identity();
    all.violation.x = sums.x;
    all.slope.x = sums.y;
    all.largest = highest.x;
    all.magnitude = magnitude_of(highest.y > 0.0);
    if DETAILS {
        all.rest = max_sum_reduce(mine.rest, lane);
        all.order = order_reduce(mine.order, lane);
    }
    return all;
}

struct Record {
    kind: u32,
    target_logit: f32,
    unit: f32,       // gradient at c != t is unit * slope
    at_target: f32,
    class_id: u32,
}

fn row_finish(all: Partial, row: Row, lane: Lane) -> Record {
    let t = row.label;
    let has_class = t.class_id != NO_CLASS;
    let has_nan = any(all.magnitude > vec4(INFINITE)) || is_nan(row.logit);
    let non_finite = has_class && (has_nan || is_infinite(max(all.largest, row.logit)));
    let weight = t.class_weight * t.row_weight / f32(params.classes);

    var kind = GRADIENT;
    var loss = weighted(weight, dot(all.violation, vec4(1.0)));
    if t.bad || non_finite {
        kind = NOT_A_NUMBER;
        loss = params.nan;
    }
    // A denominator of 0 makes the gradient of every row 0.
    if t.ignored || gradient_scale() == 0.0 { kind = ZERO; }
    if t.ignored { loss = 0.0; }
    if lane.index == 0u {
        write_loss(row.index, loss);
        if DETAILS {
            let rest = rest_of(row, all.rest, dot(all.rest.sum, vec4(1.0)));
            write_details(row.index, details_of(row, rest, order_of(all.order)));
        }
        if non_finite { count_non_finite(row.index); }
    }
    let unit = weight * gradient_scale();
    return Record(kind, row.logit, unit, -weighted(unit, dot(all.slope, vec4(1.0))), t.class_id);
}

fn is_constant(r: Record) -> bool { return r.kind != GRADIENT; }
fn constant(r: Record) -> f32 { return select(0.0, params.nan, r.kind == NOT_A_NUMBER); }

fn row_map(x: vec4<f32>, class_id: vec4<u32>, r: Record) -> vec4<f32> {
    return weighted4(vec4(r.unit), slope_of(violation_of(x, r.target_logit)));
}

fn special_class(r: Record) -> u32 { return r.class_id; }
fn row_map_special(x: vec4<f32>, class_id: vec4<u32>, r: Record) -> vec4<f32> {
    return select(row_map(x, class_id, r), vec4(r.at_target), class_id == vec4(r.class_id));
}
