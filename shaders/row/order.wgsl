// Where the target stands among the classes: its rank, and the class of the largest logit.
// On equal logits the lower class counts as larger; NaN counts as -inf.
// Needs: params, the reduce fragment, NO_CLASS. Provides: Order, order_identity, order_add, order_combine, order_reduce, order_of.

struct Order {
    larger: vec4<u32>,  // how many logits stand before the target's
    best: vec4<f32>,    // four interleaved maxima, and the class of each
    class_id: vec4<u32>,
}

fn order_identity() -> Order { return Order(vec4(0u), vec4(params.minus_infinity), vec4(NO_CLASS)); }

// A masked position has class NO_CLASS and logit -inf.
fn order_add(a: Order, logits: vec4<f32>, class_id: vec4<u32>, target_logit: f32, target_class: u32) -> Order {
    let x = without_nan(logits);
    let own = without_nan(vec4(target_logit));
    let before = (x > own) | ((x == own) & (class_id < vec4(target_class)));
    return order_combine(a, Order(select(vec4(0u), vec4(1u), before), x, class_id));
}

fn without_nan(x: vec4<f32>) -> vec4<f32> {
    let is_nan = (bitcast<vec4<u32>>(x) & vec4(0x7fffffffu)) > vec4(0x7f800000u);
    return select(x, vec4(params.minus_infinity), is_nan);
}

fn order_combine(a: Order, b: Order) -> Order {
    let b_first = (b.best > a.best) | ((b.best == a.best) & (b.class_id < a.class_id));
    return Order(a.larger + b.larger, select(a.best, b.best, b_first), select(a.class_id, b.class_id, b_first));
}

// Over all lanes.
fn order_reduce(mine: Order, lane: Lane) -> Order {
    let best = reduce_max(mine.best, lane);
    let class_id = reduce_min_u32(select(vec4(NO_CLASS), mine.class_id, mine.best == vec4(top_of(best))), lane);
    let larger = reduce_sum_u32(mine.larger, lane);
    return Order(larger, vec4(top_of(best)), class_id);
}

fn top_of(best: vec4<f32>) -> f32 { return max(max(best.x, best.y), max(best.z, best.w)); }

// (class of the largest logit, number of logits before the target's)
fn order_of(a: Order) -> vec2<u32> {
    let c = select(vec4(NO_CLASS), a.class_id, a.best == vec4(top_of(a.best)));
    return vec2(min(min(c.x, c.y), min(c.z, c.w)), a.larger.x + a.larger.y + a.larger.z + a.larger.w);
}
