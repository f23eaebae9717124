// Losses of the margin z between the target t and the other classes: cross-entropy, focal.
//
// rest = (max, sum) over the classes other than t; z = rest - x_t, by how much they outweigh it. Then
//     -log p_t = softplus(z),  1 - p_t = sigmoid(z),  p_c = e^(x_c - max) / sum * sigmoid(z)  for c != t,
// and nothing subtracts two nearly equal numbers: an offset of 1e6 or a confident row loses no digits. A loss f(z) has the
// gradient -f'(z) at the target and e^(x_c - max) / sum * f'(z) elsewhere.
//
// Needs: row/max_sum, row/order, row/labelled, row/rest, row/one_pass, row/result, row/details, row/status, math, and of the loss
// margin_loss(Margin) -> MarginLoss. Provides: the row fragment of such a loss.

struct MarginLoss {
    value: f32,  // f(z)
    slope: f32,  // f'(z)
}

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
        r.deficit += weighted4(w, a.rest.maximum - x);
    }
    if DETAILS { r.order = order_add(a.order, x, class_id, row.logit, row.label.class_id); }
    return r;
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

// Over all lanes: each sum is then in the first of its four.
fn partial_reduce(mine: Partial, lane: Lane) -> Partial {
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
    var all = partial_identity();
    all.rest = MaxSum(highest.x, vec4(sums.x, 0.0, 0.0, 0.0), magnitude_of(highest.y > 0.0));
    all.deficit.x = sums.y;
    all.weight.x = sums.z;
    if DETAILS { all.order = order_reduce(mine.order, lane); }
    return all;
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

// Every lane computes the same; one of them writes it down.
fn row_finish(all: Partial, row: Row, lane: Lane) -> Record {
    let maximum = all.rest.maximum;
    let sum = dot(all.rest.sum, vec4(1.0));
    let deficit = dot(all.deficit, vec4(1.0));
    let weight_rest = dot(all.weight, vec4(1.0));
    let t = row.label;
    let has_class = t.class_id != NO_CLASS;
    let rest = rest_of(row, all.rest, sum);
    let own_loss = margin_loss(rest.margin);
    let miss = rest.margin.sigmoid;
    let hit = rest.margin.sigmoid_of_negative;

    var loss = 0.0;
    var softmax = 0.0;
    var share = 0.0;
    var at_target = 0.0;
    if has_class {
        let own = (1.0 - smoothing()) * t.class_weight;
        // The lse of finite logits over a small temperature may overflow: without z_loss it does not count.
        var drawn = weighted(2.0 * z_loss(), rest.lse);
        loss = weighted(own, own_loss.value) + weighted(z_loss(), rest.lse * rest.lse);
        at_target = drawn * hit - own * own_loss.slope;
        if SMOOTHING {
            share = smoothing() / f32(params.classes);
            loss += share * (
                weighted(t.class_weight, rest.margin.softplus)
                    + weighted(weight_rest, rest.over_maximum)
                    + deficit * inverse_temperature()
            );
            drawn += share * (t.class_weight + weight_rest);
            at_target += share * (weight_rest * hit - t.class_weight * miss);
        }
        softmax = drawn * miss + own * own_loss.slope;
        loss = weighted(t.row_weight, loss);
        let scale = t.row_weight * inverse_temperature() * gradient_scale();
        softmax *= select(scale / sum, 0.0, rest.empty);
        share *= scale;
        at_target *= scale;
    }

    var kind = GRADIENT;
    if t.bad || (rest.non_finite && has_class) {
        kind = NOT_A_NUMBER;
        loss = params.nan;
    }
    // A denominator of 0 makes the gradient of every row 0.
    if t.ignored || gradient_scale() == 0.0 { kind = ZERO; }
    if lane.index == 0u {
        write_loss(row.index, loss);
        if DETAILS { write_details(row.index, details_of(row, rest, order_of(all.order))); }
        if rest.non_finite && has_class { count_non_finite(row.index); }
    }
    return Record(kind, maximum, softmax, share, at_target, t.class_id);
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
