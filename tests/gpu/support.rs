//! The table of `docs/losses.md`, which says what every loss supports: each entry is run and compared with the reference.

use std::fmt::Write as _;

use logloss::gpu::GpuLoss;
use logloss::reference;
use logloss::{
    AnyLoss, Batch, DType, Domain, Domains, Error, Gradient, Layout, Logits, Request, Shape, TargetKind, Targets, Unit,
    every_loss,
};

use crate::common::assert_close;
use crate::common::random::Random;
use crate::stored::{Stored, planes, strided};

/// Samples, classes and positions of the batch, by the name of its layout. Nothing is a multiple of a chunk.
fn layouts() -> [(&'static str, Layout); 3] {
    [("(N, C)", Shape::new(6, 5).into()), ("(N, C), row stride", strided(6, 5, 2)), ("(N, C, d1..dk)", planes(2, 5, 9))]
}

/// A batch that the loss takes.
pub struct Example {
    layout: Layout,
    logits: Vec<f32>,
    classes: Vec<i32>,
    dense: Vec<f32>,
}

impl Example {
    pub fn new(loss: &dyn AnyLoss, layout: Layout) -> Self {
        let mut random = Random(layout.span());
        let Domains { input, target } = loss.definition().domains;
        let mut number = |low, high| (0..layout.span()).map(|_| random.uniform(low, high)).collect::<Vec<f32>>();
        let logits = if input == Domain::UnitInterval { number(0.0625, 0.9375) } else { number(-3.0, 3.0) };
        let sign = |x: f32| if x > 0.5 { 1.0 } else { -1.0 };
        let dense = number(0.0, 1.0).into_iter().take(layout.elements() as usize);
        let dense = if target == Domain::Sign { dense.map(sign).collect() } else { dense.collect() };
        let classes = (0..layout.rows()).map(|row| ((7 * row + 3) % layout.classes()) as i32).collect();
        Self { layout, logits, classes, dense }
    }

    pub fn stored(&self, dtype: DType) -> Stored {
        Stored::new(dtype, &self.logits)
    }

    pub fn batch<'a>(&'a self, loss: &dyn AnyLoss, logits: Logits<'a>) -> Batch<'a> {
        let targets = match loss.definition().targets {
            TargetKind::Dense => Targets::Dense(&self.dense),
            TargetKind::Classes | TargetKind::Either => Targets::Classes(&self.classes),
        };
        Batch::new(self.layout, logits, targets)
    }
}

/// Whether the combination is there; a wrong number fails the test.
fn supports(loss: &dyn AnyLoss, layout: Layout, dtype: DType, gradient: Gradient) -> bool {
    let example = Example::new(loss, layout);
    let stored = example.stored(dtype);
    let batch = example.batch(loss, stored.logits());
    let name = format!("{loss:?} {layout:?} {dtype} {gradient:?}");
    let want = reference::evaluate(loss, &batch).unwrap_or_else(|e| panic!("{name}: {e}"));
    match crate::gpu().evaluate(loss, Request { gradient, ..Request::FORWARD }, &batch) {
        Ok(got) => {
            assert_close(&name, &[got.summary.loss], &[want.loss], 1e-5, 1e-7);
            if gradient != Gradient::No {
                // A gradient of 16 bits is off by up to half a step of bfloat16, or of float16's subnormals.
                let step = if gradient == Gradient::Widened || dtype == DType::F32 { 1e-5 } else { 2_f64.powi(-8) };
                assert_close(&name, &got.gradient, &want.gradient, step, 2e-7);
            }
            true
        }
        Err(Error::Unsupported { .. }) => false,
        Err(error) => panic!("{name}: {error}"),
    }
}

fn table() -> String {
    let mut table = String::from("| loss | targets | unreduced | pass |");
    let columns: Vec<_> =
        layouts().into_iter().flat_map(|(name, layout)| DType::ALL.map(|dtype| (name, layout, dtype))).collect();
    for (name, _, dtype) in &columns {
        write!(table, " {name} {dtype} |").expect("a string");
    }
    table += "\n| --- | --- | --- | --- |";
    table += &" :-: |".repeat(columns.len());
    table.push('\n');
    for loss in every_loss() {
        let definition = loss.definition();
        let targets = match definition.targets {
            TargetKind::Classes => "classes",
            TargetKind::Dense => "dense",
            TargetKind::Either => "either",
        };
        let unit = match definition.unit {
            Unit::Row => "row",
            Unit::Element => "element",
            Unit::Region(_) => "region",
        };
        let passes: [(&str, &[Gradient]); 2] =
            [("forward", &[Gradient::No]), ("gradient", &[Gradient::Separate, Gradient::Widened, Gradient::InPlace])];
        for (pass, gradients) in passes {
            write!(table, "| `{}` | {targets} | {unit} | {pass} |", definition.name).expect("a string");
            for &(_, layout, dtype) in &columns {
                let all = gradients.iter().all(|&gradient| supports(loss.as_ref(), layout, dtype, gradient));
                write!(table, " {} |", if all { "yes" } else { "no" }).expect("a string");
            }
            table.push('\n');
        }
    }
    table
}

#[test]
fn the_documentation_says_what_runs() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/losses.md");
    let text = std::fs::read_to_string(path).expect("docs/losses.md");
    let (begin, end) = ("<!-- support: begin -->\n", "<!-- support: end -->");
    let (head, rest) = text.split_once(begin).expect("where the table begins");
    let (old, tail) = rest.split_once(end).expect("where the table ends");
    let table = table();
    if old != table {
        std::fs::write(path, format!("{head}{begin}{table}{end}{tail}")).expect("docs/losses.md");
        panic!("the table of docs/losses.md was out of date and has been written anew; look at the difference");
    }
}

/// What is not there is an error of the compilation, not a wrong number.
#[test]
fn what_is_not_supported_does_not_compile() {
    let gpu = crate::gpu();
    let details = Request { details: true, ..Request::FORWARD };
    let dense = Request { dense_targets: true, ..Request::FORWARD };
    for loss in every_loss() {
        let loss: &dyn GpuLoss = loss.as_ref();
        let definition = loss.definition();
        let name = definition.name;
        assert_eq!(gpu.kernel(loss, details).is_ok(), definition.has_details(), "{name} with details");
        assert_eq!(gpu.kernel(loss, dense).is_ok(), definition.targets != TargetKind::Classes, "{name}, dense");
    }
}
