//! A batch that owns its tensors, and the comparison of everything a kernel says of it with the reference.

use logloss::gpu::{Evaluator, Gpu, Reduce, Tuning};
use logloss::{
    ABSENT, Batch, CrossEntropy, Details, Evaluation, Gradient, Nll, Reduction, Request, Result, Shape, reference,
};

use crate::common::random::Random;
use crate::common::{as_float32, assert_close};

#[derive(Debug, Clone)]
pub enum Loss {
    CrossEntropy(CrossEntropy),
    Nll(Nll),
}

#[derive(Debug, Clone)]
pub struct Case {
    pub loss: Loss,
    pub shape: Shape,
    pub logits: Vec<f32>,
    pub targets: Vec<i32>,
    pub class_weights: Option<Vec<f32>>,
    pub row_weights: Option<Vec<f32>>,
}

/// The sum, whose gradient no division makes small: 1e-7 absolute hides nothing.
pub fn plain() -> Loss {
    Loss::CrossEntropy(CrossEntropy { reduction: Reduction::Sum, ..CrossEntropy::default() })
}

pub const SEPARATE: Request = Request { gradient: Gradient::Separate, details: false, ..Request::FORWARD };
pub const SEPARATE_WITH_DETAILS: Request = Request { gradient: Gradient::Separate, details: true, ..Request::FORWARD };
pub const IN_PLACE: Request = Request { gradient: Gradient::InPlace, details: false, ..Request::FORWARD };
pub const IN_PLACE_WITH_DETAILS: Request = Request { gradient: Gradient::InPlace, details: true, ..Request::FORWARD };
pub const FORWARD: Request = Request { gradient: Gradient::No, details: false, ..Request::FORWARD };

impl Case {
    /// Logits in [-8, 8) and targets among all classes, the same on every run.
    pub fn random(loss: Loss, rows: u32, classes: u32) -> Self {
        let mut random = Random(u64::from(rows) << 32 | u64::from(classes));
        let shape = Shape::new(rows, classes);
        Self {
            loss,
            shape,
            logits: (0..shape.elements()).map(|_| random.uniform(-8.0, 8.0)).collect(),
            targets: (0..rows).map(|_| random.below(classes as usize) as i32).collect(),
            class_weights: None,
            row_weights: None,
        }
    }

    /// Class and row weights in [0.5, 2), and label smoothing where the loss has it.
    pub fn with_everything(mut self) -> Self {
        let mut random = Random(self.shape.elements());
        self.class_weights = Some((0..self.shape.classes).map(|_| random.uniform(0.5, 2.0)).collect());
        self.row_weights = Some((0..self.shape.rows).map(|_| random.uniform(0.5, 2.0)).collect());
        if let Loss::CrossEntropy(options) = &mut self.loss {
            options.label_smoothing = 0.1;
        }
        self
    }

    pub fn batch(&self) -> Batch<'_> {
        Batch {
            class_weights: self.class_weights.as_deref(),
            row_weights: self.row_weights.as_deref(),
            ..Batch::new(self.shape, &self.logits, &self.targets)
        }
    }

    pub fn reference(&self) -> reference::Evaluation {
        match &self.loss {
            Loss::CrossEntropy(options) => reference::evaluate(options, &self.batch()),
            Loss::Nll(options) => reference::evaluate(options, &self.batch()),
        }
        .expect("a batch that the reference takes")
    }

    pub fn run_on(&self, gpu: &Gpu, request: Request, tuning: Tuning) -> Result<Evaluation> {
        match &self.loss {
            Loss::CrossEntropy(loss) => Evaluator::with_tuning(gpu, loss, request, tuning)?.evaluate(&self.batch()),
            Loss::Nll(loss) => Evaluator::with_tuning(gpu, loss, request, tuning)?.evaluate(&self.batch()),
        }
    }

    #[track_caller]
    pub fn run(&self, request: Request, tuning: Tuning) -> Evaluation {
        let got =
            self.run_on(crate::gpu(), request, tuning).unwrap_or_else(|e| panic!("{:?} {tuning:?}: {e}", self.shape));
        crate::gpu().check().expect("no error that wgpu reported");
        got
    }

    /// Runs every request under every tuning, and compares everything.
    #[track_caller]
    pub fn check(&self, requests: &[Request], tunings: &[Tuning]) {
        let want = self.reference();
        for &request in requests {
            for &tuning in tunings {
                let name = format!("{:?} {request:?} {tuning:?}", self.shape);
                self.compare(&name, request, &self.run(request, tuning), &want);
            }
        }
    }

    #[track_caller]
    pub fn compare(&self, name: &str, request: Request, got: &Evaluation, want: &reference::Evaluation) {
        close(&format!("{name} losses"), &got.losses, &want.losses);
        let sum: f64 = want.losses.iter().sum();
        close(
            &format!("{name} loss, loss_sum, weight_sum"),
            &[got.summary.loss, got.summary.loss_sum, got.summary.weight_sum],
            &[want.loss, sum, want.weight_sum],
        );
        let non_finite = |r: &usize| want.losses[*r].is_nan();
        let ignored = |r: &usize| self.is_ignored(self.targets[*r]);
        let first = |is: &dyn Fn(&usize) -> bool| (0..self.targets.len()).find(is).map_or(ABSENT, |r| r as u32);
        let s = &got.summary;
        assert_eq!(
            (s.rows, s.ignored, s.first_ignored, s.bad_targets, s.first_bad_row, s.non_finite, s.first_non_finite),
            (self.shape.rows, want.ignored, first(&ignored), 0, ABSENT, want.non_finite, first(&non_finite)),
            "{name}: rows, ignored, first, bad, first, non-finite, first"
        );
        if request.gradient != Gradient::No {
            close(&format!("{name} gradient"), &got.gradient, &want.gradient);
        }
        if request.details {
            let column = |f: fn(&Details) -> f32| got.details.iter().map(f).collect::<Vec<_>>();
            close(&format!("{name} log_prob"), &column(|d| d.log_prob), &want.log_prob);
            if matches!(self.loss, Loss::CrossEntropy(_)) {
                close(&format!("{name} lse"), &column(|d| d.lse), &want.lse);
            }
            let order: Vec<_> = got.details.iter().map(|d| (d.argmax, d.rank)).collect();
            let want: Vec<_> = want.argmax.iter().copied().zip(want.rank.iter().copied()).collect();
            assert_eq!(order, want, "{name}: argmax and rank");
        }
    }

    pub fn is_ignored(&self, target: i32) -> bool {
        match &self.loss {
            Loss::CrossEntropy(options) => options.ignore_index.contains(&target),
            Loss::Nll(options) => options.ignore_index.contains(&target),
        }
    }
}

/// The ways to reduce that the adapter under test has.
pub fn reductions() -> Vec<Reduce> {
    let mut all = vec![Reduce::Workgroup];
    if crate::gpu().device.features().contains(wgpu::Features::SUBGROUP) {
        all.push(Reduce::Subgroup);
    }
    all
}

/// The contract of a GPU: 1e-5 relative or 1e-7 absolute. Beyond the largest float32 the truth is infinite.
#[track_caller]
pub fn close(name: &str, got: &[f32], want: &[f64]) {
    assert_close(name, got, &as_float32(want), 1e-5, 1e-7);
}

/// Every output as bits, so that equal means equal for NaN and signed zeros too.
pub fn bits(e: &Evaluation) -> (Vec<u32>, Vec<u32>, Vec<u8>, Vec<u8>) {
    let f32_bits = |v: &[f32]| v.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
    (
        f32_bits(&e.losses),
        f32_bits(&e.gradient),
        bytemuck::cast_slice(&e.details).to_vec(),
        bytemuck::bytes_of(&e.summary).to_vec(),
    )
}
