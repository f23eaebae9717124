// Categorical cross-entropy against a class index, in nats.
//
// rest = (max, sum) over the classes other than the target t; z = rest - x_t, by how much they outweigh it. Then
//     -log p_t = softplus(z),  1 - p_t = sigmoid(z),  p_c = e^(x_c - max) / sum * sigmoid(z)  for c != t,
// and nothing subtracts two nearly equal numbers: an offset of 1e6 or a confident row loses no digits.
//
// Needs: row/max_sum, row/order, row/labelled, row/result, math. Provides: the loss of the row schedules.

const READS_ROW = true;
override SMOOTHING: bool = false;  // label smoothing: one more sum, linear in the logits
override DETAILS: bool = false;    // log-partition, target log-probability, argmax and rank

fn exponent_scale() -> f32 { return params.options[0].x; }       // log2(e) / temperature
fn inverse_temperature() -> f32 { return params.options[0].y; }
fn smoothing() -> f32 { return params.options[0].z; }
fn z_loss() -> f32 { return params.options[0].w; }

struct Partial {
    rest: MaxSum,
    order: Order,
    deficit: vec4<f32>,  // sum of w_c (max - x_c)
    weight: vec4<f32>,   // sum of w_c
}

fn partial_identity() -> Partial { return Partial(max_sum_identity(), order_identity(), vec4(0.0), vec4(0.0)); }

fn partial_raise(a: Partial, candidate: f32) -> Partial {
    var r = a;
    r.rest = max_sum_raise(a.rest, candidate);
    if SMOOTHING {
        // Without this test the first rise, from LOWEST, could overflow.
        r.deficit += select(a.weight * (r.rest.maximum - a.rest.maximum), vec4(0.0), a.weight == vec4(0.0));
    }
    return r;
}

fn partial_add(a: Partial, x: vec4<f32>, class_id: vec4<u32>, row: Row) -> Partial {
    var r = a;
    r.rest = max_sum_add(a.rest, x);
    if SMOOTHING {
        let w = class_weights_of(class_id);
        r.weight += w;
        // 0 * inf is 0 here: a class of weight 0 contributes nothing.
        r.deficit += select(w * (a.rest.maximum - x), vec4(0.0), w == vec4(0.0));
    }
    if DETAILS { r.order = order_add(a.order, x, class_id, row.logit, row.label.class_id); }
    return r;
}

// Positions outside the row have class NO_CLASS and weight 0.
fn class_weights_of(class_id: vec4<u32>) -> vec4<f32> {
    let inside = class_id < vec4(params.classes);
    if (params.flags & HAS_CLASS_WEIGHTS) == 0u { return select(vec4(0.0), vec4(1.0), inside); }
    let c = select(vec4(0u), class_id, inside);
    return select(
        vec4(0.0),
        vec4(class_weights[c.x], class_weights[c.y], class_weights[c.z], class_weights[c.w]),
        inside,
    );
}

fn partial_combine(a: Partial, b: Partial) -> Partial {
    let ra = partial_raise(a, b.rest.maximum);
    let rb = partial_raise(b, a.rest.maximum);
    return Partial(
        max_sum_combine(a.rest, b.rest),
        order_combine(a.order, b.order),
        ra.deficit + rb.deficit,
        ra.weight + rb.weight,
    );
}

// What the gradient needs of a finished row.
struct Record {
    kind: u32,          // GRADIENT, or a constant for the whole row
    maximum: f32,
    softmax: f32,       // gradient at c != t is softmax * 2^(scale (x_c - maximum)) - smoothing_share * w_c
    smoothing_share: f32,
    at_target: f32,
    class_id: u32,
}

fn row_finish(mine: Partial, row: Row, lane: Lane) -> Record {
    let has_nan = select(0.0, 1.0, max_sum_has_nan(mine.rest));
    let highest = reduce_max(vec4(mine.rest.maximum, has_nan, 0.0, 0.0), lane);
    let based = partial_raise(mine, highest.x);
    let sums = reduce_sum(
        vec4(
            dot(based.rest.sum, vec4(1.0)),
            dot(based.deficit, vec4(1.0)),
            dot(based.weight, vec4(1.0)),
            0.0,
        ),
        lane,
    );
    var order = vec2(NO_CLASS, NO_CLASS);
    if DETAILS { order = order_reduce(mine.order, lane); }
    return conclude(row, highest.x, highest.y > 0.0, sums.x, sums.y, sums.z, order, lane.index == 0u);
}

// Every lane computes the same; one of them writes it down.
fn conclude(
    row: Row, maximum: f32, has_nan: bool, sum: f32, deficit: f32, weight_rest: f32, order: vec2<u32>, writes: bool,
) -> Record {
    let t = row.label;
    let x_t = row.logit;
    let has_class = t.class_id != NO_CLASS;
    // Nothing but -inf among the others leaves the sum at 0, or below the smallest normal where exp2(-inf) is not quite 0.
    let rest_empty = sum < 0.5;
    let target_infinite = has_class && is_infinite(x_t);
    let non_finite = has_nan || is_infinite(maximum)
        || (has_class && (is_nan(x_t) || (target_infinite && (x_t > 0.0 || rest_empty))))
        || (!has_class && rest_empty);

    let log_sum = select(accurate_log(max(sum, 1.0)), 0.0, rest_empty);
    let z = select((maximum - x_t) * inverse_temperature() + log_sum, LOWEST, rest_empty);
    let margin = margin_of(z);
    let nll = margin.softplus;
    let miss = margin.sigmoid;
    let hit = margin.sigmoid_of_negative;
    let over_rest = margin.softplus_of_negative + log_sum;  // log-partition less the largest other logit
    var lse = select(x_t * inverse_temperature() + nll, maximum * inverse_temperature() + over_rest, z > 0.0);
    if !has_class { lse = maximum * inverse_temperature() + log_sum; }

    var loss = 0.0;
    var softmax = 0.0;
    var share = 0.0;
    var at_target = 0.0;
    if has_class {
        let own = (1.0 - smoothing()) * t.class_weight;
        // The lse of finite logits over a small temperature may overflow: without z_loss it does not count.
        let drawn = weighted(2.0 * z_loss(), lse);
        loss = weighted(own, nll) + weighted(z_loss(), lse * lse);
        softmax = own + drawn;
        at_target = drawn * hit - own * miss;
        if SMOOTHING {
            share = smoothing() / f32(params.classes);
            loss += share * (weighted(t.class_weight, nll) + weighted(weight_rest, over_rest) + deficit * inverse_temperature());
            softmax += share * (t.class_weight + weight_rest);
            at_target += share * (weight_rest * hit - t.class_weight * miss);
        }
        loss = weighted(t.row_weight, loss);
        let scale = t.row_weight * inverse_temperature() * gradient_scale();
        softmax *= select(miss / sum, 0.0, rest_empty) * scale;
        share *= scale;
        at_target *= scale;
    }

    var kind = GRADIENT;
    if t.bad || (non_finite && has_class) {
        kind = NOT_A_NUMBER;
        loss = params.nan;
    }
    // A denominator of 0 makes the gradient of every row 0.
    if t.ignored || gradient_scale() == 0.0 { kind = ZERO; }
    if writes {
        write_loss(row.index, loss);
        if DETAILS { write_details(row.index, details_of(row, lse, nll, non_finite, order)); }
        if non_finite && has_class { count_non_finite(row.index); }
    }
    return Record(kind, maximum, softmax, share, at_target, t.class_id);
}

// 0 * inf is 0: what has no weight does not count.
fn weighted(w: f32, x: f32) -> f32 { return select(w * x, 0.0, w == 0.0); }

fn details_of(
    row: Row, lse: f32, nll: f32, non_finite: bool, order: vec2<u32>,
) -> Details {
    var d = Details(lse, -nll, order.x, order.y);
    let t = row.label.class_id;
    if t == NO_CLASS {
        d.log_prob = 0.0;
        d.rank = NO_CLASS;
    } else if order.y == 0u {
        d.argmax = t;
    }
    if non_finite { d.lse = params.nan; }
    if row.label.bad || (non_finite && t != NO_CLASS) {
        d.log_prob = params.nan;
        d.rank = NO_CLASS;
    }
    return d;
}

fn is_constant(r: Record) -> bool { return r.kind != GRADIENT; }
fn constant(r: Record) -> f32 { return select(0.0, params.nan, r.kind == NOT_A_NUMBER); }

fn row_map(x: vec4<f32>, class_id: vec4<u32>, r: Record) -> vec4<f32> {
    let g = r.softmax * exp2(exponent_scale() * (x - r.maximum));
    if SMOOTHING { return g - r.smoothing_share * class_weights_of(class_id); }
    return g;
}

fn special_class(r: Record) -> u32 { return r.class_id; }
fn row_map_special(x: vec4<f32>, class_id: vec4<u32>, r: Record) -> vec4<f32> {
    return select(row_map(x, class_id, r), vec4(r.at_target), class_id == vec4(r.class_id));
}
