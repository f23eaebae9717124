//! Infinities, NaN, ignored rows, weights of 0 and bad targets, each anywhere in a row: what the table of meanings says.

use logloss::gpu::{Kernel, Tuning};
use logloss::{ABSENT, CrossEntropy, Error, Nll, Reduction, Shape};

use crate::buffers;
use crate::case::{Case, FORWARD, IN_PLACE, IN_PLACE_WITH_DETAILS, Loss, SEPARATE, SEPARATE_WITH_DETAILS};

const PLANNED: Tuning = Tuning::PLANNED;
const INF: f32 = f32::INFINITY;
const NAN: f32 = f32::NAN;

fn cross_entropy(change: impl Fn(&mut CrossEntropy)) -> Loss {
    let mut options =
        CrossEntropy { reduction: Reduction::Sum, ignore_index: vec![-100, -1], ..CrossEntropy::default() };
    change(&mut options);
    Loss::CrossEntropy(options)
}

/// A case of rows given one by one.
fn rows<const C: usize>(loss: Loss, list: &[([f32; C], i32)]) -> Case {
    Case {
        loss,
        shape: Shape::new(list.len() as u32, C as u32),
        logits: list.iter().flat_map(|(row, _)| *row).collect(),
        targets: list.iter().map(|(_, target)| *target).collect(),
        class_weights: None,
        row_weights: None,
    }
}

/// A row for each odd value, at each position, with the target there, elsewhere, and ignored.
fn everywhere(loss: Loss, classes: u32, odd: &[f32]) -> Case {
    let positions: Vec<u32> = if classes <= 40 {
        (0..classes).collect()
    } else {
        // First and last, the chunks at the edges, and one inside.
        (0..5).chain([classes / 2]).chain(classes - 5..classes).collect()
    };
    let targets = |p: u32| [p as i32, ((p + 1) % classes) as i32, (classes / 3) as i32, -100];
    let list: Vec<_> = positions
        .iter()
        .flat_map(|&p| odd.iter().flat_map(move |&x| targets(p).map(|target| (p, x, target))))
        .collect();
    let mut case = Case::random(loss, list.len() as u32, classes);
    for (r, &(p, x, target)) in list.iter().enumerate() {
        case.logits[r * classes as usize + p as usize] = x;
        case.targets[r] = target;
    }
    case
}

#[test]
fn anywhere_in_a_row() {
    let all = [NAN, -NAN, INF, -INF, f32::MIN, f32::MAX, -0.0, 1e-40];
    for classes in [1, 2, 3, 4, 5, 7, 8, 9, 33, 130] {
        everywhere(cross_entropy(|_| ()), classes, &all)
            .check(&[FORWARD, SEPARATE_WITH_DETAILS, IN_PLACE], &[PLANNED, Tuning { lanes: Some(4), ..PLANNED }]);
        // Of the lowest float more than one would make the smoothing term overflow float32.
        everywhere(cross_entropy(|o| o.label_smoothing = 0.1), classes, &[NAN, INF, -INF])
            .check(&[SEPARATE_WITH_DETAILS, IN_PLACE], &[PLANNED]);
    }
}

#[test]
fn infinities_with_weights_and_smoothing() {
    for (label_smoothing, z_loss, temperature) in [(0.0, 0.0, 0.5), (0.3, 0.0, 1.0), (1.0, 0.0, 2.0), (0.1, 1e-3, 1.0)]
    {
        let loss =
            cross_entropy(|o| (o.label_smoothing, o.z_loss, o.temperature) = (label_smoothing, z_loss, temperature));
        for classes in [2, 5, 8, 33] {
            let mut case = everywhere(loss.clone(), classes, &[-INF, 0.0]);
            case.class_weights = Some((0..classes).map(|c| [0.0, 1.5, 1.0][c as usize % 3]).collect());
            case.row_weights = Some((0..case.shape.rows).map(|r| [1.0, 0.0, 2.0, 0.5][r as usize % 4]).collect());
            case.check(&[SEPARATE_WITH_DETAILS, IN_PLACE], &[PLANNED]);
        }
    }
}

#[test]
fn rows_of_one_value() {
    for x in [-INF, INF, NAN, f32::MIN, f32::MAX, 0.0, -1e30] {
        for temperature in [1.0, 0.5] {
            for classes in [1, 2, 5, 8, 33] {
                let mut case = Case::random(cross_entropy(|o| o.temperature = temperature), 9, classes);
                case.logits.fill(x);
                case.targets[3] = -100;
                if temperature == 1.0 || x.abs() < 1e38 || !x.is_finite() {
                    case.check(&[SEPARATE_WITH_DETAILS, IN_PLACE], &[PLANNED]);
                } else {
                    // The lse overflows, which the loss does not notice.
                    case.check(&[SEPARATE, IN_PLACE], &[PLANNED]);
                }
            }
        }
    }
}

#[test]
fn masks_of_the_lowest_float() {
    // All but two classes masked, as attention and constrained decoding do; the target is masked or not.
    for mask in [f32::MIN, -INF, -1e9] {
        for classes in [3, 8, 33, 130] {
            let mut case = Case::random(cross_entropy(|_| ()), 12, classes);
            for (i, x) in case.logits.iter_mut().enumerate() {
                if i as u32 % classes > 1 {
                    *x = mask;
                }
            }
            case.check(&[SEPARATE_WITH_DETAILS, IN_PLACE], &[PLANNED]);
        }
    }
}

#[test]
fn the_table_row_by_row() {
    let list = [
        ([0.0, -INF, 0.0], 0),
        ([-INF, 5.0, -INF], 1),
        ([-INF, 0.0, 0.0], 0),
        ([1.0, 2.0, NAN], -100),
        ([-INF, -INF, -INF], -1),
        ([1.0, 2.0, 3.0], 2),
    ];
    for reduction in [Reduction::None, Reduction::Sum, Reduction::Mean, Reduction::MeanOrZero, Reduction::MeanOver(2.5)]
    {
        let loss = cross_entropy(|o| o.reduction = reduction);
        let requests = [FORWARD, SEPARATE_WITH_DETAILS, IN_PLACE];
        let finite = rows(loss.clone(), &list);
        finite.check(&requests, &[PLANNED]);
        rows(loss.clone(), &[([1.0, NAN, 3.0], 0), list[0]]).check(&requests, &[PLANNED]);
        // Every row ignored, and none at all.
        rows(loss.clone(), &list[3..5]).check(&requests, &[PLANNED]);
        rows(loss.clone(), &list[..0]).check(&requests, &[PLANNED]);
        // Every weight 0.
        for row in [finite.clone(), rows(loss.clone(), &[([1.0, NAN, 3.0], 0)])] {
            Case { class_weights: Some(vec![0.0; 3]), ..row.clone() }.check(&requests, &[PLANNED]);
            Case { row_weights: Some(vec![0.0; row.targets.len()]), ..row }.check(&requests, &[PLANNED]);
        }
    }
}

#[test]
fn an_empty_batch_after_another() {
    // The second has nothing of the first.
    let gpu = crate::gpu();
    for request in [FORWARD, SEPARATE_WITH_DETAILS, IN_PLACE] {
        let kernel = Kernel::new(&gpu.device, &CrossEntropy::default(), request).unwrap();
        let full = Case::random(Loss::CrossEntropy(CrossEntropy::default()), 7, 5);
        let empty = Case::random(full.loss.clone(), 0, 5);
        for case in [&empty, &full, &empty] {
            let got = buffers::run(gpu, &kernel, case, request, buffers::Place::default()).unwrap();
            case.compare("empty and full", request, &got, &case.reference());
        }
    }
}

#[test]
fn several_ignore_indices() {
    let loss = cross_entropy(|o| o.ignore_index = (0..15).map(|i| 2 * i).chain([i32::MIN]).collect());
    let mut case = Case::random(loss, 200, 40);
    case.targets[7] = i32::MIN;
    case.check(&[SEPARATE_WITH_DETAILS, IN_PLACE_WITH_DETAILS], &[PLANNED]);
}

#[test]
fn the_first_of_many_windows() {
    let tuning = Tuning { max_binding: Some(600), ..PLANNED };
    for (first, second) in [(0, 1), (63, 64), (64, 2990), (1500, 1501), (2999, 3000)] {
        let mut case = Case::random(cross_entropy(|_| ()), 3001, 3);
        for r in [second, first] {
            case.logits[3 * r] = NAN;
            case.targets[(r + 7) % 3001] = -1;
        }
        case.check(&[FORWARD, SEPARATE], &[PLANNED, tuning]);
    }
}

#[test]
fn nll_reads_the_target_alone() {
    // Unlike the reference, which reads whole rows: PyTorch's nll_loss is finite here, too.
    let loss = Loss::Nll(Nll { reduction: Reduction::Sum, ignore_index: vec![-100] });
    for odd in [NAN, INF, -INF] {
        for request in [FORWARD, SEPARATE, IN_PLACE] {
            let case = rows(
                loss.clone(),
                &[([-0.5, odd, odd, odd, -2.0], 0), ([odd; 5], -100), ([odd, odd, -1.5, odd, odd], 2)],
            );
            let got = case.run(request, PLANNED);
            assert_eq!((&got.losses[..], got.summary.loss), (&[0.5, 0.0, 1.5][..], 2.0), "{odd} {request:?}");
            if request != FORWARD {
                let want = [[-1.0, 0.0, 0.0, 0.0, 0.0], [0.0; 5], [0.0, 0.0, -1.0, 0.0, 0.0]].concat();
                assert_eq!(got.gradient, want, "{odd} {request:?}");
            }
        }
    }
}

#[test]
fn nll_at_the_target() {
    let loss = Loss::Nll(Nll { reduction: Reduction::Sum, ignore_index: vec![-100] });
    // A single class of -inf is a row of nothing but -inf to the reference.
    for classes in [2, 5, 8, 33] {
        let mut case = everywhere(loss.clone(), classes, &[NAN, INF, -INF]);
        // Keep the rows whose target holds the odd value or that are ignored.
        let c = classes as usize;
        let keep: Vec<_> = (0..case.targets.len()).filter(|r| matches!(r % 4, 0 | 3)).collect();
        case.logits = keep.iter().flat_map(|r| case.logits[r * c..][..c].to_vec()).collect();
        case.targets = keep.iter().map(|&r| case.targets[r]).collect();
        case.shape.rows = keep.len() as u32;
        case.check(&[FORWARD, SEPARATE, IN_PLACE], &[PLANNED, Tuning { lanes: Some(64), ..PLANNED }]);
        case.class_weights = Some(vec![0.0; c]);
        case.check(&[SEPARATE, IN_PLACE], &[PLANNED]);
    }
}

#[test]
fn bad_targets() {
    let gpu = crate::gpu();
    for classes in [1, 5, 8] {
        for (loss, name) in [
            (cross_entropy(|_| ()), "cross-entropy"),
            (Loss::Nll(Nll { reduction: Reduction::Mean, ignore_index: vec![-100, -1] }), "nll"),
        ] {
            let mut case = Case::random(loss, 2100, classes);
            case.class_weights = Some(vec![1.0; classes as usize]);
            let bad = [(2099, -7), (5, classes as i32), (1030, i32::MAX), (1024, i32::MIN), (1025, -101)];
            for (r, target) in bad {
                case.targets[r] = target;
            }
            case.targets[3] = -100;
            let want = Error::BadTarget { row: 5, value: classes.into(), classes: classes.into(), count: 5 };
            for (request, max_binding) in [(SEPARATE_WITH_DETAILS, None), (IN_PLACE, Some(700))] {
                let tuning = Tuning { max_binding, ..PLANNED };
                assert_eq!(case.run_on(gpu, request, tuning), Err(want.clone()), "{name}");
                let kernel = match &case.loss {
                    Loss::CrossEntropy(loss) => Kernel::with_tuning(&gpu.device, loss, request, tuning),
                    Loss::Nll(loss) => Kernel::with_tuning(&gpu.device, loss, request, tuning),
                };
                let got = buffers::run(gpu, &kernel.unwrap(), &case, request, buffers::Place::default()).unwrap();
                let s = got.summary;
                assert!(s.loss.is_nan() && s.loss_sum.is_nan(), "{name}: never a wrong number");
                assert_eq!((s.bad_targets, s.first_bad_row, s.first_bad_target), (5, 5, classes as i32), "{name}");
                assert_eq!((s.ignored, s.first_ignored, s.non_finite), (1, 3, 0), "{name}");
                assert_eq!(s.weight_sum, 2100.0 - 6.0, "{name}");
                for r in 0..2100 {
                    let is_bad = bad.iter().any(|&(b, _)| b == r);
                    assert_eq!(got.losses[r].is_nan(), is_bad, "{name}: loss of row {r}");
                    let c = classes as usize;
                    let row = got.gradient.get(r * c..(r + 1) * c).unwrap_or_default();
                    assert!(row.iter().all(|g| g.is_nan() == is_bad), "{name}: gradient of row {r}");
                    if is_bad && request.details {
                        let d = got.details[r];
                        assert_eq!((d.log_prob.is_nan(), d.rank), (true, ABSENT), "{name}: details of row {r}");
                    }
                }
            }
        }
    }
}
