// Kullback-Leibler divergence of the row's softmax p from the targets t, in nats: loss_c = t_c (log t_c - log p_c), one a class.
//
// The first reading finds the softmax. The second sums terms t_c (log t_c - log p_c) + p_c - t_c, none of them negative, and
// the sum of p_c - t_c, which is 1 - sum(t), is put back at the end. The gradient is p_c sum(t) - t_c.
//
// Needs: row/max_sum, row/softmax, row/dense, row/result, row/status, math, math/divergence. Provides: the loss of the row
// schedules.

const READS_ROW = true;
const ROW_PASSES = 2u;
override LOG_TARGET: bool = false;      // the targets are log-probabilities
override ELEMENT_LOSSES: bool = false;  // every loss_c is written

@group(0) @binding(7) var<storage, read_write> element_losses: array<f32>;

fn exponent_scale() -> f32 { return params.options[0].x; }  // log2(e) / temperature
fn inverse_temperature() -> f32 { return params.options[0].y; }
fn z_loss() -> f32 { return params.options[0].w; }

struct Row {
    dense: Dense,
    softmax: Softmax,  // once the first pass has found it
}

fn row_begin(index: u32, first_element: u32) -> Row {
    return Row(dense_begin(index), Softmax(LOWEST, 0.0, 0.0, 0u));
}
fn excluded_class(row: Row) -> u32 { return NO_CLASS; }

struct Distribution {
    value: vec4<f32>,
    logarithm: vec4<f32>,
}

// A masked position has target 0. A negative probability is not a number.
fn targets_at(d: Dense, class_id: vec4<u32>) -> Distribution {
    let given = dense_at(d, class_id);
    if LOG_TARGET {
        return Distribution(select(vec4(0.0), accurate_exp4(given), class_id < vec4(params.classes)), given);
    }
    let t = select(given, vec4(params.nan), given < vec4(0.0));
    return Distribution(t, accurate_log4(max(t, vec4(1.1754944e-38))));
}

struct Partial {
    all: MaxSum,
    terms: vec4<f32>,
    mass: vec4<f32>,  // sum of t_c
}

fn partial_identity() -> Partial { return Partial(max_sum_identity(), vec4(0.0), vec4(0.0)); }
fn partial_raise(a: Partial, candidate: f32) -> Partial {
    return Partial(max_sum_raise(a.all, candidate), a.terms, a.mass);
}

fn partial_add(a: Partial, x: vec4<f32>, class_id: vec4<u32>, row: Row) -> Partial {
    var r = a;
    r.all = max_sum_add(a.all, x);
    // In the first pass the sum is 0, and nothing of this is used.
    let t = targets_at(row.dense, class_id);
    let inside = class_id < vec4(params.classes);
    let terms = divergence_terms(t.value, t.logarithm, prob_of(row.softmax, x), log_prob_of(row.softmax, x));
    r.terms += select(vec4(0.0), terms, inside);
    r.mass += select(vec4(0.0), t.value, inside);
    return r;
}

fn partial_combine(a: Partial, b: Partial) -> Partial {
    return Partial(max_sum_combine(a.all, b.all), a.terms + b.terms, a.mass + b.mass);
}

// Over all lanes: each sum of terms is then in the first of its four.
fn partial_reduce(mine: Partial, lane: Lane) -> Partial {
    let sums = reduce_sum(vec4(dot(mine.terms, vec4(1.0)), dot(mine.mass, vec4(1.0)), 0.0, 0.0), lane);
    return Partial(max_sum_reduce(mine.all, lane), vec4(sums.x, 0.0, 0.0, 0.0), vec4(sums.y, 0.0, 0.0, 0.0));
}

fn row_continue(all: Partial, row: Row) -> Row { return Row(row.dense, softmax_of(all.all)); }

struct Record {
    kind: u32,
    dense: Dense,
    softmax: Softmax,
    scale: f32,
    mass: f32,
    drawn: f32,   // what the z-loss multiplies p_c by
    spread: f32,  // the z-loss of an element
}

fn row_finish(all: Partial, row: Row, lane: Lane) -> Record {
    let s = row.softmax;
    let mass = dot(all.mass, vec4(1.0));
    let lse = lse_of(s);
    let penalty = weighted(z_loss(), lse * lse);
    let loss = select(params.nan, weighted(row.dense.weight, dot(all.terms, vec4(1.0)) + (mass - 1.0) + penalty), is_finite(s));
    if lane.index == 0u {
        write_loss(row.dense.index, loss);
        if !is_finite(s) { count_all_non_finite(params.classes, row.dense.index); }
    }
    return Record(
        select(NOT_A_NUMBER, GRADIENT, is_finite(s)),
        row.dense,
        s,
        row.dense.weight * inverse_temperature() * gradient_scale(),
        mass,
        weighted(2.0 * z_loss(), lse),
        penalty / f32(params.classes),
    );
}

// Where element losses are written, every chunk is looked at.
fn is_constant(r: Record) -> bool { return r.kind != GRADIENT && !ELEMENT_LOSSES; }
fn constant(r: Record) -> f32 { return params.nan; }

fn row_map(x: vec4<f32>, class_id: vec4<u32>, r: Record) -> vec4<f32> {
    let t = targets_at(r.dense, class_id);
    if ELEMENT_LOSSES {
        // A target of 0 contributes nothing, whatever the logit.
        let own = weighted4(t.value, t.logarithm - log_prob_of(r.softmax, x));
        let loss = weighted4(vec4(r.dense.weight), own + r.spread);
        write_elements(r.dense, class_id, select(vec4(params.nan), loss, r.kind == GRADIENT));
    }
    let p = prob_of(r.softmax, x);
    // The small difference first: where p_c is close to t_c, the z-loss is all that is left.
    let g = r.scale * (fma(p, vec4(r.mass), -t.value) + p * r.drawn);
    return select(vec4(params.nan), g, r.kind == GRADIENT);
}

fn write_elements(d: Dense, class_id: vec4<u32>, loss: vec4<f32>) {
    let e = dense_elements(d, class_id);
    for (var i = 0u; i < 4u; i++) {
        if class_id[i] < params.classes { element_losses[e[i]] = loss[i]; }
    }
}

fn special_class(r: Record) -> u32 { return NO_CLASS; }
fn row_map_special(x: vec4<f32>, class_id: vec4<u32>, r: Record) -> vec4<f32> { return row_map(x, class_id, r); }
