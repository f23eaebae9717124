// Focal loss over sigmoids, in nats. With p = sigmoid(x):
//     ce   = t softplus(-x) + (1 - t) softplus(x)
//     miss = p (1 - t) + (1 - p) t,       dmiss/dx = (1 - 2 t) p (1 - p)
//     loss = alpha_t miss^gamma ce
//     dloss/dx = alpha_t miss^gamma (p - t + gamma (1 - 2 t) p (1 - p) / miss ce)
// For a target of 0 or 1, miss is sigmoid(-+x) and its logarithm a softplus, which keeps its digits where miss has none left;
// p (1 - p) / miss is then 1 - miss.
//
// Needs: params, math. Provides: the loss of the element schedule.

fn gamma() -> f32 { return params.options[0].x; }
fn alpha_present() -> f32 { return params.options[0].y; }
fn alpha_absent() -> f32 { return params.options[0].z; }

struct Element {
    value: vec4<f32>,
    slope: vec4<f32>,
    bad: vec4<bool>,
}

fn element_loss(x: vec4<f32>, t: vec4<f32>, class_id: vec4<u32>) -> Element {
    let m = margin_of4(x);
    let present = t == vec4(1.0);
    let hard = present | (t == vec4(0.0));
    let ce = weighted4(t, m.softplus_of_negative) + weighted4(1.0 - t, m.softplus);

    var log_miss = select(-m.softplus_of_negative, -m.softplus, present);
    var hit = select(m.sigmoid_of_negative, m.sigmoid, present);
    if !all(hard) {
        let miss = max(m.sigmoid * (1.0 - t) + m.sigmoid_of_negative * t, vec4(1.1754944e-38));
        log_miss = select(accurate_log4(miss), log_miss, hard);
        hit = select(m.sigmoid * m.sigmoid_of_negative / miss, hit, hard);
    }
    let modulation = accurate_exp4(weighted4(vec4(gamma()), log_miss));
    // At the far end ce is infinite where 1 - miss is 0.
    let bend = gamma() * (1.0 - 2.0 * t) * weighted4(hit, ce);
    let cross = (1.0 - t) * m.sigmoid - t * m.sigmoid_of_negative;
    let alpha = alpha_present() * t + alpha_absent() * (1.0 - t);
    let bad = (t < vec4(0.0)) | (t > vec4(1.0));
    return Element(weighted4(alpha * modulation, ce), alpha * modulation * (cross + bend), bad);
}
