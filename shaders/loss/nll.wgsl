// Negative log-likelihood of a class index, from log-probabilities, in nats: loss = -w_t x_t.
//
// Only the target's logit matters; the rest of the row is read for the details alone.
//
// Needs: row/order, row/labelled, row/result, row/status, math. Provides: the loss of the row schedules.

override DETAILS: bool = false;  // target log-probability, argmax and rank; the log-partition is 0
override READS_ROW: bool = DETAILS;

struct Partial {
    order: Order,
}

fn partial_identity() -> Partial { return Partial(order_identity()); }
fn partial_raise(a: Partial, candidate: f32) -> Partial { return a; }
fn partial_add(a: Partial, x: vec4<f32>, class_id: vec4<u32>, row: Row) -> Partial {
    return Partial(order_add(a.order, x, class_id, row.logit, row.label.class_id));
}
fn partial_combine(a: Partial, b: Partial) -> Partial { return Partial(order_combine(a.order, b.order)); }

fn partial_reduce(mine: Partial, lane: Lane) -> Partial {
    if DETAILS { return Partial(order_reduce(mine.order, lane)); }
    return mine;
}

struct Record {
    kind: u32,
    at_target: f32,
    class_id: u32,
}

fn row_finish(all: Partial, row: Row, lane: Lane) -> Record {
    let t = row.label;
    let has_class = t.class_id != NO_CLASS;
    let non_finite = has_class && (is_nan(row.logit) || (is_infinite(row.logit) && row.logit > 0.0));
    let weight = t.class_weight * t.row_weight;
    // What has no weight does not count, even at -inf.
    var loss = select(-weight * row.logit, 0.0, weight == 0.0);
    var kind = GRADIENT;
    if t.bad || non_finite {
        kind = NOT_A_NUMBER;
        loss = params.nan;
    }
    // A denominator of 0 makes the gradient of every row 0.
    if gradient_scale() == 0.0 { kind = ZERO; }
    if lane.index == 0u {
        write_loss(row.index, loss);
        if DETAILS {
            let order = order_of(all.order);
            let argmax = select(order.x, t.class_id, has_class && order.y == 0u);
            let log_prob = select(select(0.0, row.logit, has_class), params.nan, kind == NOT_A_NUMBER);
            write_details(row.index, Details(0.0, log_prob, argmax, select(NO_CLASS, order.y, has_class && !non_finite)));
        }
        if non_finite { count_non_finite(row.index); }
    }
    return Record(kind, -weight * gradient_scale(), t.class_id);
}

fn is_constant(r: Record) -> bool { return r.kind != GRADIENT; }
fn constant(r: Record) -> f32 { return select(0.0, params.nan, r.kind == NOT_A_NUMBER); }

fn row_map(x: vec4<f32>, class_id: vec4<u32>, r: Record) -> vec4<f32> { return vec4(0.0); }

fn special_class(r: Record) -> u32 { return r.class_id; }
fn row_map_special(x: vec4<f32>, class_id: vec4<u32>, r: Record) -> vec4<f32> {
    return select(vec4(0.0), vec4(r.at_target), class_id == vec4(r.class_id));
}
