// Dice loss of a region, with wrong = fp + fn (or sum (p - t)^2, in place of fp) and k = 1, or 2 for Jaccard:
//     loss = 1 - (2 tp + nr) / D = (k wrong + dr - nr) / D,   D = 2 tp + k wrong + dr
//     dloss/dtp = -2 loss / D,   dloss/dwrong = k (1 - loss) / D
//
// Needs: params, reduce. Provides: the loss of pass/region_finish.

const CLASSES_TOGETHER = false;

fn smooth_nr() -> f32 { return params.options[0].x; }
fn smooth_dr() -> f32 { return params.options[0].y; }
fn price() -> f32 { return params.options[0].z; }  // k

struct Group { id: u32 }
fn group_of(base: u32, first: u32, lane: Lane) -> Group { return Group(base); }

struct Region {
    loss: f32,
    by_tp: f32,
    by_fp: f32,
    by_fn: f32,
}

fn region_of(sums: vec4<f32>, group: Group) -> Region {
    let wrong = price() * (sums.y + sums.z);
    let d = 2.0 * sums.x + wrong + smooth_dr();
    let loss = (wrong + (smooth_dr() - smooth_nr())) / d;
    let by_wrong = price() * ((2.0 * sums.x + smooth_nr()) / d) / d;
    return Region(loss, -2.0 * loss / d, by_wrong, by_wrong);
}
