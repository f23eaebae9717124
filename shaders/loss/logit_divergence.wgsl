// Divergence between the row's softmax q and that of the targets p, which are logits too, in nats.
//
//     KL(p || q), KL(q || p), or with m = (p + q) / 2 the Jensen-Shannon divergence (KL(p || m) + KL(q || m)) / 2
//
// The first reading finds both softmaxes, the second sums terms none of which is negative. The gradient by the row's logits is
// q - p for the first, and q_c (u_c - sum(q u)) with u = log q - log p or u = (log q - log m) / 2 for the others. All u are taken
// relative to that of the row's most probable class: where it is nearly certain, its u_c and sum(q u) would be one large number
// twice, and their difference nothing but rounding.
//
// Needs: row/max_sum, row/softmax, row/dense, row/result, row/status, math, math/divergence. Provides: the loss of the row
// schedules.

const READS_ROW = true;
const ROW_PASSES = 2u;
override REVERSE: bool = false;
override JENSEN_SHANNON: bool = false;

fn exponent_scale() -> f32 { return params.options[0].x; }  // log2(e) / temperature
fn inverse_temperature() -> f32 { return params.options[0].y; }
fn z_loss() -> f32 { return params.options[0].w; }

struct Row {
    dense: Dense,
    own: Softmax,      // once the first pass has found them
    teacher: Softmax,
    y_of_top: f32,
    drive_of_top: f32,
}

fn row_begin(index: u32, first_element: u32) -> Row {
    let none = Softmax(LOWEST, 0.0, 0.0, 0u);
    return Row(dense_begin(index), none, none, 0.0, 0.0);
}
fn excluded_class(row: Row) -> u32 { return NO_CLASS; }

struct Partial {
    own: MaxSum,
    teacher: MaxSum,
    y_of_top: f32,     // the target at the maximum; of several, the largest
    terms: vec4<f32>,
    drift: vec4<f32>,  // sum of q_c u_c
}

fn partial_identity() -> Partial {
    return Partial(max_sum_identity(), max_sum_identity(), params.minus_infinity, vec4(0.0), vec4(0.0));
}

fn partial_raise(a: Partial, candidate: f32) -> Partial {
    let own = max_sum_raise(a.own, candidate);
    return Partial(own, a.teacher, y_at(own.maximum, a), a.terms, a.drift);
}

// The target at a maximum that is at least a's.
fn y_at(maximum: f32, a: Partial) -> f32 { return select(params.minus_infinity, a.y_of_top, a.own.maximum == maximum); }

struct Pair {
    q: vec4<f32>,
    log_q: vec4<f32>,
    p: vec4<f32>,
    log_p: vec4<f32>,
}

fn pair_of(x: vec4<f32>, y: vec4<f32>, own: Softmax, teacher: Softmax) -> Pair {
    return Pair(prob_of(own, x), log_prob_of(own, x), prob_of(teacher, y), log_prob_of(teacher, y));
}

// The terms of KL(a || b), 0 where a is 0 and b too.
fn terms_of(v: Pair) -> vec4<f32> {
    if JENSEN_SHANNON {
        let m = 0.5 * (v.p + v.q);
        let log_m = log_mean(v);
        return 0.5 * (divergence_terms(v.p, v.log_p, m, log_m) + divergence_terms(v.q, v.log_q, m, log_m));
    }
    if REVERSE { return divergence_terms(v.q, v.log_q, v.p, v.log_p); }
    return divergence_terms(v.p, v.log_p, v.q, v.log_q);
}

// log((p + q) / 2), from the larger: log_large + log((1 + e^(log_small - log_large)) / 2), and (1 + e^-d) / 2 = 1 - (1 - e^-d) / 2.
fn log_mean(v: Pair) -> vec4<f32> {
    let large = max(v.log_p, v.log_q);
    let d = min(v.log_p, v.log_q) - large;
    let e = accurate_exp4(d);
    return large + select(log1p_unit4(e) - LN_2, log1p_half_expm1(d), d > vec4(-0.5));
}

// log((1 + e^d) / 2) for -0.5 < d <= 0: d/2 + log(cosh(d/2)), by its series.
fn log1p_half_expm1(d: vec4<f32>) -> vec4<f32> {
    let h = 0.25 * d * d;
    var p = vec4(2.1869489e-3);
    p = fma(p, h, vec4(-6.7460317e-3));
    p = fma(p, h, vec4(2.2222222e-2));
    p = fma(p, h, vec4(-8.3333333e-2));
    p = fma(p, h, vec4(0.5));
    return 0.5 * d + h * p;
}

// u less that of the most probable class; unused for KL(p || q).
fn drive(x: vec4<f32>, y: vec4<f32>, v: Pair, own: Softmax, y_of_top: f32, drive_of_top: f32) -> vec4<f32> {
    if JENSEN_SHANNON {
        // Exactly 0 of that class, which compilers that contract one of the two expressions do not give.
        let is_top = (x == vec4(own.maximum)) & (y == vec4(y_of_top));
        return select(jensen_shannon_drive(v) - drive_of_top, vec4(0.0), is_top);
    }
    return ((x - own.maximum) - (y - y_of_top)) * inverse_temperature();
}

fn jensen_shannon_drive(v: Pair) -> vec4<f32> { return 0.5 * (v.log_q - log_mean(v)); }

fn partial_add(a: Partial, x: vec4<f32>, class_id: vec4<u32>, row: Row) -> Partial {
    let inside = class_id < vec4(params.classes);
    let y = select(vec4(params.minus_infinity), dense_at(row.dense, class_id), inside);
    var r = a;
    r.own = max_sum_add(a.own, x);
    let at_top = select(vec4(params.minus_infinity), y, inside & (x == vec4(a.own.maximum)));
    r.y_of_top = max(a.y_of_top, highest_of(at_top));
    let highest = highest_of(y);
    r.teacher = max_sum_add(max_sum_raise(a.teacher, highest), y);
    // In the first pass the sums are 0, and nothing of this is used.
    let v = pair_of(x, y, row.own, row.teacher);
    r.terms += select(vec4(0.0), terms_of(v), inside);
    let u = drive(x, y, v, row.own, row.y_of_top, row.drive_of_top);
    r.drift += select(vec4(0.0), weighted4(v.q, u), inside);
    return r;
}

fn highest_of(y: vec4<f32>) -> f32 { return max(max(y.x, y.y), max(y.z, y.w)); }

fn partial_combine(a: Partial, b: Partial) -> Partial {
    let own = max_sum_combine(a.own, b.own);
    return Partial(
        own,
        max_sum_combine(a.teacher, b.teacher),
        max(y_at(own.maximum, a), y_at(own.maximum, b)),
        a.terms + b.terms,
        a.drift + b.drift,
    );
}

// Over all lanes: each sum of terms is then in the first of its four.
fn partial_reduce(mine: Partial, lane: Lane) -> Partial {
    let sums = reduce_sum(vec4(dot(mine.terms, vec4(1.0)), dot(mine.drift, vec4(1.0)), 0.0, 0.0), lane);
    let own = max_sum_reduce(mine.own, lane);
    return Partial(
        own,
        max_sum_reduce(mine.teacher, lane),
        reduce_max(vec4(y_at(own.maximum, mine), 0.0, 0.0, 0.0), lane).x,
        vec4(sums.x, 0.0, 0.0, 0.0),
        vec4(sums.y, 0.0, 0.0, 0.0),
    );
}

fn row_continue(all: Partial, row: Row) -> Row {
    let own = softmax_of(all.own);
    let teacher = softmax_of(all.teacher);
    let top = pair_of(vec4(all.own.maximum), vec4(all.y_of_top), own, teacher);
    return Row(row.dense, own, teacher, all.y_of_top, jensen_shannon_drive(top).x);
}

struct Record {
    kind: u32,
    dense: Dense,
    own: Softmax,
    teacher: Softmax,
    y_of_top: f32,
    drive_of_top: f32,
    scale: f32,
    drift: f32,
    drawn: f32,  // what the z-loss multiplies q_c by
}

fn row_finish(all: Partial, row: Row, lane: Lane) -> Record {
    let finite = is_finite(row.own) && is_finite(row.teacher);
    let terms = dot(all.terms, vec4(1.0));
    let lse = lse_of(row.own);
    let loss = select(params.nan, weighted(row.dense.weight, terms + weighted(z_loss(), lse * lse)), finite);
    if lane.index == 0u {
        write_loss(row.dense.index, loss);
        if !finite { count_non_finite(row.dense.index); }
    }
    // A class without probability among the targets makes KL(q || p) infinite, and its derivative no number.
    let drift = dot(all.drift, vec4(1.0));
    let unbounded = REVERSE && (is_infinite(drift) || is_nan(drift));
    return Record(
        select(NOT_A_NUMBER, GRADIENT, finite && !unbounded),
        row.dense,
        row.own,
        row.teacher,
        row.y_of_top,
        row.drive_of_top,
        row.dense.weight * inverse_temperature() * gradient_scale(),
        drift,
        weighted(2.0 * z_loss(), lse),
    );
}

fn is_constant(r: Record) -> bool { return r.kind != GRADIENT; }
fn constant(r: Record) -> f32 { return params.nan; }

fn row_map(x: vec4<f32>, class_id: vec4<u32>, r: Record) -> vec4<f32> {
    let y = dense_at(r.dense, class_id);
    let v = pair_of(x, y, r.own, r.teacher);
    let drawn = r.drawn * v.q;
    if REVERSE || JENSEN_SHANNON {
        let u = drive(x, y, v, r.own, r.y_of_top, r.drive_of_top);
        return r.scale * (weighted4(v.q, u - r.drift) + drawn);
    }
    return r.scale * (v.q - v.p + drawn);
}

fn special_class(r: Record) -> u32 { return NO_CLASS; }
fn row_map_special(x: vec4<f32>, class_id: vec4<u32>, r: Record) -> vec4<f32> { return row_map(x, class_id, r); }
