// Generalised Dice loss of all classes of a group, with wrong_c = fp_c + fn_c and v_c = 1/T_c^n of the target sums T_c, n = 2, 1
// or 0; of a class without targets the largest v of the others, or 1.
//     loss = (sum v wrong + dr - nr) / D,   D = sum v (2 tp + wrong) + dr
//     dloss/dtp_c = -2 v_c loss / D,   dloss/dwrong_c = v_c (1 - loss) / D
//
// Numerator and denominator are divided by the largest v: u_c = (T_min / T_c)^n is at most 1, and that of a class without
// targets is 1. Neither a large nor a small class leaves the range of float32 then.
//
// Needs: params, reduce, math, region_sum of pass/region_finish. Provides: the loss of pass/region_finish.

const CLASSES_TOGETHER = true;

fn smooth_nr() -> f32 { return params.options[0].x; }
fn smooth_dr() -> f32 { return params.options[0].y; }
fn exponent() -> f32 { return params.options[0].z; }

const LOWEST = -3.4028234e38;

struct Group {
    least: f32,        // T_min; 1 where no class has targets
    denominator: f32,  // divided by the largest v
    loss: f32,
    score: f32,        // 1 - loss
}

fn raised(x: f32) -> f32 {
    if exponent() == 2.0 { return x * x; }
    return select(1.0, x, exponent() == 1.0);
}

fn balance(targets: f32, least: f32) -> f32 { return select(raised(least / targets), 1.0, targets == 0.0); }

fn group_of(base: u32, first: u32, lane: Lane) -> Group {
    var highest = LOWEST;
    // A lane reads the sums that it will write over, and no others.
    for (var c = lane.index; c < params.classes; c += WORKGROUP_SIZE) {
        let s = region_sum(base, c);
        let targets = s.x + s.z;
        if c >= first && targets != 0.0 { highest = max(highest, -targets); }
    }
    highest = reduce_max(vec4(highest), lane).x;
    let least = select(-highest, 1.0, highest == LOWEST);
    var mine = vec4(0.0);
    for (var c = lane.index; c < params.classes; c += WORKGROUP_SIZE) {
        let s = region_sum(base, c);
        let u = balance(s.x + s.z, least);
        if c >= first { mine += vec4(u * s.x, u * (s.y + s.z), 0.0, 0.0); }
    }
    let sums = reduce_sum(mine, lane);
    let shrink = raised(least);
    let denominator = 2.0 * sums.x + sums.y + shrink * smooth_dr();
    let loss = (sums.y + shrink * (smooth_dr() - smooth_nr())) / denominator;
    return Group(least, denominator, loss, (2.0 * sums.x + shrink * smooth_nr()) / denominator);
}

struct Region {
    loss: f32,
    by_tp: f32,
    by_fp: f32,
    by_fn: f32,
}

fn region_of(sums: vec4<f32>, group: Group) -> Region {
    let u = balance(sums.x + sums.z, group.least) / group.denominator;
    let by_wrong = u * group.score;
    return Region(group.loss, -2.0 * u * group.loss, by_wrong, by_wrong);
}
