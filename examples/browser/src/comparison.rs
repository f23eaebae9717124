//! Every loss on the GPU and on the CPU, beside the float64 reference.

use anyhow::{Context, Result};
use logloss::gpu::{Evaluator, Gpu};
use logloss::{
    AnyLoss, Batch, Definition, Domain, Evaluation, Gradient, Layout, Request, Shape, TargetKind, Targets, Unit, cpu,
    every_loss, reference,
};
use web_time::Instant;

use crate::page::Page;

/// Half a million logits: rows, and of losses of regions images.
fn layout(unit: Unit) -> Result<Layout> {
    Ok(match unit {
        Unit::Region(_) => Layout::planes(8, 16, 64 * 64)?,
        Unit::Row | Unit::Element => Shape::new(512, 1024).into(),
    })
}

/// Compares every loss, a row of the table each.
pub async fn compare_all(gpu: &Gpu, page: &Page) -> Result<()> {
    let losses = every_loss();
    for (i, loss) in losses.iter().enumerate() {
        let name = loss.definition().name;
        page.text("losses", &format!("{} of {}: {name} …", i + 1, losses.len()))?;
        let cells = compare(gpu, loss.as_ref()).await.context(name)?;
        page.row("rows", std::iter::once(name.to_owned()).chain(cells))?;
    }
    page.text(
        "losses",
        "Losses and gradients of 512 rows of 1024 classes; of regions, from dice on, of 8 images of 16 classes, 64 x 64.",
    )
}

async fn compare(gpu: &Gpu, loss: &dyn AnyLoss) -> Result<[String; 7]> {
    let data = Data::new(loss)?;
    let batch = data.batch();
    let want = reference::evaluate(loss, &batch)?;
    let dense_targets = matches!(batch.targets, Targets::Dense(_));
    let request = Request { gradient: Gradient::Separate, dense_targets, ..Request::FORWARD };
    let mut evaluator = Evaluator::new(gpu, loss, request)?;
    // The first call compiles.
    evaluator.evaluate_async(&batch).await?;
    let start = Instant::now();
    let on_gpu = evaluator.evaluate_async(&batch).await?;
    let gpu_time = start.elapsed();
    let start = Instant::now();
    let on_cpu = cpu::evaluate(loss, request, &batch)?;
    let cpu_time = start.elapsed();
    let ms = |time: std::time::Duration| format!("{:.1}", 1e3 * time.as_secs_f64());
    let [of_gpu, of_cpu] = [&on_gpu, &on_cpu].map(|got| errors(got, &want));
    let [a, b] = of_gpu.map(shown);
    let [c, d] = of_cpu.map(shown);
    Ok([format!("{:.6}", want.loss), a, b, ms(gpu_time), c, d, ms(cpu_time)])
}

/// Relative error of the loss, and the largest of the gradient over its largest entry.
fn errors(got: &Evaluation, want: &reference::Evaluation) -> [f64; 2] {
    let loss = (f64::from(got.summary.loss) - want.loss).abs() / want.loss.abs();
    let largest = |values: &mut dyn Iterator<Item = f64>| values.fold(0.0_f64, |a, b| a.max(b.abs()));
    let error = largest(&mut got.gradient.iter().zip(&want.gradient).map(|(&got, want)| f64::from(got) - want));
    [loss, error / largest(&mut want.gradient.iter().copied())]
}

fn shown(error: f64) -> String {
    if error == 0.0 { "0".into() } else { format!("{error:.1e}") }
}

/// A batch that a loss takes.
struct Data {
    layout: Layout,
    logits: Vec<f32>,
    classes: Option<Vec<i32>>,
    dense: Vec<f32>,
}

impl Data {
    fn new(loss: &dyn AnyLoss) -> Result<Self> {
        let Definition { targets, unit, domains, .. } = loss.definition();
        let layout = layout(unit)?;
        let hashed = |i: u32| (i.wrapping_mul(2_654_435_761) >> 8) as f32 / (1 << 24) as f32;
        let values = |domain, seed| {
            let value = move |i| match (domain, hashed(i ^ seed)) {
                (Domain::Any, u) => 12.0 * u - 6.0,
                (Domain::UnitInterval, u) => u,
                (Domain::Sign, u) => (u - 0.5).signum(),
            };
            (0..layout.elements() as u32).map(value).collect::<Vec<f32>>()
        };
        let classes = (0..layout.rows()).map(|row| (row.wrapping_mul(40_503) % layout.classes()) as i32).collect();
        // Probabilities are such as any loss takes that takes any number; those of a row's classes add up to about 1.
        let (target, share) = match domains.target {
            Domain::Any if unit == Unit::Row => (Domain::UnitInterval, 2.0 / layout.classes() as f32),
            Domain::Any => (Domain::UnitInterval, 1.0),
            domain => (domain, 1.0),
        };
        Ok(Self {
            layout,
            logits: values(domains.input, 0),
            classes: (targets != TargetKind::Dense).then_some(classes),
            dense: values(target, 0x5555).into_iter().map(|t| t * share).collect(),
        })
    }

    fn batch(&self) -> Batch<'_> {
        let targets: Targets<'_> = match &self.classes {
            Some(classes) => classes.into(),
            None => (&self.dense).into(),
        };
        Batch::new(self.layout, &self.logits, targets)
    }
}
