// Tversky loss of a region, with a price each for false positives and false negatives:
//     wrong = alpha fp + beta fn,   loss = 1 - (tp + nr) / D = (wrong + dr - nr) / D,   D = tp + wrong + dr
//     dloss/dtp = -loss / D,   dloss/dwrong = (1 - loss) / D
//
// Needs: params, reduce. Provides: the loss of pass/region_finish.

const CLASSES_TOGETHER = false;

fn smooth_nr() -> f32 { return params.options[0].x; }
fn smooth_dr() -> f32 { return params.options[0].y; }
fn alpha() -> f32 { return params.options[0].z; }
fn beta() -> f32 { return params.options[0].w; }

struct Group { id: u32 }
fn group_of(base: u32, first: u32, lane: Lane) -> Group { return Group(base); }

struct Region {
    loss: f32,
    by_tp: f32,
    by_fp: f32,
    by_fn: f32,
}

fn region_of(sums: vec4<f32>, group: Group) -> Region {
    let wrong = alpha() * sums.y + beta() * sums.z;
    let d = sums.x + wrong + smooth_dr();
    let loss = (wrong + (smooth_dr() - smooth_nr())) / d;
    let by_wrong = (sums.x + smooth_nr()) / d / d;
    return Region(loss, -loss / d, alpha() * by_wrong, beta() * by_wrong);
}
