// Categorical cross-entropy against class probabilities t, in nats: sum_c q_c * -log p_c with q_c = w_c ((1 - e) t_c + e / K).
//
// Taken relative to the maximum: -log p_c = (max - x_c) + log(sum), two terms that are not negative. The gradient is
// p_c sum(q) - q_c.
//
// Needs: row/max_sum, row/softmax, row/dense, row/one_pass, row/result, row/status, math. Provides: the loss of the row schedules.

const READS_ROW = true;

fn exponent_scale() -> f32 { return params.options[0].x; }  // log2(e) / temperature
fn inverse_temperature() -> f32 { return params.options[0].y; }
fn smoothing() -> f32 { return params.options[0].z; }
fn z_loss() -> f32 { return params.options[0].w; }

struct Row {
    dense: Dense,
}

fn row_begin(index: u32, first_element: u32) -> Row { return Row(dense_begin(index)); }
fn excluded_class(row: Row) -> u32 { return NO_CLASS; }

// Positions outside the row have weight 0.
fn target_weights(d: Dense, class_id: vec4<u32>) -> vec4<f32> {
    let t = (1.0 - smoothing()) * dense_at(d, class_id) + smoothing() / f32(params.classes);
    return class_weights_of(class_id) * t;
}

struct Partial {
    all: MaxSum,
    deficit: vec4<f32>,  // sum of q_c (max - x_c)
    mass: vec4<f32>,     // sum of q_c
}

fn partial_identity() -> Partial { return Partial(max_sum_identity(), vec4(0.0), vec4(0.0)); }

fn partial_raise(a: Partial, candidate: f32) -> Partial {
    let all = max_sum_raise(a.all, candidate);
    // Without a weight the first rise, from LOWEST, would overflow.
    return Partial(all, a.deficit + weighted4(a.mass, vec4(all.maximum - a.all.maximum)), a.mass);
}

fn partial_add(a: Partial, x: vec4<f32>, class_id: vec4<u32>, row: Row) -> Partial {
    let q = target_weights(row.dense, class_id);
    return Partial(max_sum_add(a.all, x), a.deficit + weighted4(q, a.all.maximum - x), a.mass + q);
}

fn partial_combine(a: Partial, b: Partial) -> Partial {
    let ra = partial_raise(a, b.all.maximum);
    let rb = partial_raise(b, a.all.maximum);
    return Partial(max_sum_combine(a.all, b.all), ra.deficit + rb.deficit, ra.mass + rb.mass);
}

// Over all lanes: each sum of targets is then in the first of its four.
fn partial_reduce(mine: Partial, lane: Lane) -> Partial {
    let all = max_sum_reduce(mine.all, lane);
    let based = partial_raise(mine, all.maximum);
    let sums = reduce_sum(vec4(dot(based.deficit, vec4(1.0)), dot(based.mass, vec4(1.0)), 0.0, 0.0), lane);
    return Partial(all, vec4(sums.x, 0.0, 0.0, 0.0), vec4(sums.y, 0.0, 0.0, 0.0));
}

struct Record {
    kind: u32,
    dense: Dense,
    maximum: f32,
    over_sum: f32,  // gradient is scale * (p_c mass - q_c + p_c drawn) with p_c = over_sum * 2^(scale (x_c - maximum))
    mass: f32,
    drawn: f32,
    scale: f32,
}

fn row_finish(all: Partial, row: Row, lane: Lane) -> Record {
    let s = softmax_of(all.all);
    let deficit = dot(all.deficit, vec4(1.0));
    let mass = dot(all.mass, vec4(1.0));
    let lse = lse_of(s);
    var loss = deficit * inverse_temperature() + weighted(mass, s.log_sum) + weighted(z_loss(), lse * lse);
    loss = select(params.nan, weighted(row.dense.weight, loss), is_finite(s));
    if lane.index == 0u {
        write_loss(row.dense.index, loss);
        if !is_finite(s) { count_non_finite(row.dense.index); }
    }
    let scale = row.dense.weight * inverse_temperature() * gradient_scale();
    let kind = select(NOT_A_NUMBER, GRADIENT, is_finite(s));
    return Record(kind, row.dense, s.maximum, 1.0 / s.sum, mass, weighted(2.0 * z_loss(), lse), scale);
}

fn is_constant(r: Record) -> bool { return r.kind != GRADIENT; }
fn constant(r: Record) -> f32 { return params.nan; }

fn row_map(x: vec4<f32>, class_id: vec4<u32>, r: Record) -> vec4<f32> {
    let p = r.over_sum * exp2(exponent_scale() * (x - r.maximum));
    // The small difference first: where p_c is close to q_c, the z-loss is all that is left.
    return r.scale * (fma(p, vec4(r.mass), -target_weights(r.dense, class_id)) + p * r.drawn);
}

fn special_class(r: Record) -> u32 { return NO_CLASS; }
fn row_map_special(x: vec4<f32>, class_id: vec4<u32>, r: Record) -> vec4<f32> { return row_map(x, class_id, r); }
