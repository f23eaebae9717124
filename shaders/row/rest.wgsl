// What the classes other than the target come to, and how they stand to it.
// Needs: row/max_sum, row/labelled, row/details, math, inverse_temperature() of the loss. Provides: Rest, rest_of, details_of.

struct Rest {
    empty: bool,        // nothing but -inf
    non_finite: bool,   // the row holds NaN or +inf, or nothing but -inf
    margin: Margin,     // of z = rest - x_t
    lse: f32,           // log-partition over all classes
    over_maximum: f32,  // log-partition less the largest other logit
}

// `rest` is of the other classes, and `sum` that of e^((x_c - maximum) / T); it is taken once.
fn rest_of(row: Row, rest: MaxSum, sum: f32) -> Rest {
    let maximum = rest.maximum;
    let x_t = row.logit;
    let has_class = row.label.class_id != NO_CLASS;
    // Nothing but -inf leaves the sum at 0, or below the smallest normal where exp2(-inf) is not quite 0.
    let empty = sum < 0.5;
    let target_infinite = has_class && is_infinite(x_t);
    let non_finite = max_sum_has_nan(rest) || is_infinite(maximum)
        || (has_class && (is_nan(x_t) || (target_infinite && (x_t > 0.0 || empty))))
        || (!has_class && empty);
    let log_sum = select(accurate_log(max(sum, 1.0)), 0.0, empty);
    let z = select((maximum - x_t) * inverse_temperature() + log_sum, LOWEST, empty);
    let margin = margin_of(z);
    let over_maximum = margin.softplus_of_negative + log_sum;
    var lse = select(x_t * inverse_temperature() + margin.softplus, maximum * inverse_temperature() + over_maximum, z > 0.0);
    if !has_class { lse = maximum * inverse_temperature() + log_sum; }
    return Rest(empty, non_finite, margin, lse, over_maximum);
}

// `order` is the class of the largest other logit, and how many stand before the target's.
fn details_of(row: Row, rest: Rest, order: vec2<u32>) -> Details {
    var d = Details(rest.lse, -rest.margin.softplus, order.x, order.y);
    let t = row.label.class_id;
    if t == NO_CLASS {
        d.log_prob = 0.0;
        d.rank = NO_CLASS;
    } else if order.y == 0u {
        d.argmax = t;
    }
    if rest.non_finite { d.lse = params.nan; }
    if row.label.bad || (rest.non_finite && t != NO_CLASS) {
        d.log_prob = params.nan;
        d.rank = NO_CLASS;
    }
    return d;
}
