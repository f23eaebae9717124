//! The results as one JSON object: every number's unit is in its name.

use serde_json::{Map, Value, json};

use super::break_even::BreakEven;
use super::results::{GpuResult, PassResult, Point, Results, Series, Speed, Transfer};
use super::statistics::Spread;
use crate::{number, report};

/// The object, indented.
pub(super) fn text(results: &Results) -> String {
    let device = results.device.as_ref().map(|device| {
        json!({
            "name": device.name,
            "type": device.kind,
            "backend": device.backend,
            "driver": device.driver,
            "kernel_clock": device.clock(),
        })
    });
    let mut shapes: Vec<String> = Vec::new();
    for series in &results.series {
        for point in series.points.iter().filter(|point| point.is_given) {
            let shape = format!("{}x{}", point.rows, series.classes);
            if !shapes.contains(&shape) {
                shapes.push(shape);
            }
        }
    }
    let mut object = Map::new();
    let mut put = |key: &str, value: Value| {
        object.insert(key.to_owned(), value);
    };
    put("version", env!("CARGO_PKG_VERSION").into());
    put("date", results.date.clone().into());
    put("device", device.into());
    put(
        "host",
        json!({
            "cpu": results.host.cpu,
            "threads": results.host.threads,
            "instructions": results.host.instructions,
        }),
    );
    put("rounds", results.rounds.into());
    put("warm_up_rounds", 1.into());
    put("shapes", shapes.into());
    put("copy_bytes", results.copy_bytes.into());
    results.host_copy.put(&mut object, "host_copy", "gb_per_second");
    if let Some(copy) = results.device_copy {
        copy.put(&mut object, "device_copy", "gb_per_second");
    }
    object.insert("results".into(), results.series.iter().map(series).collect());
    object.insert("notes".into(), results.notes.clone().into());
    report::pretty(&Value::Object(object))
}

fn series(series: &Series) -> Value {
    let reference = &series.reference;
    let mut of_reference = Map::new();
    of_reference.insert("rows".into(), reference.rows.into());
    reference.seconds.put(&mut of_reference, "forward_gradient", "seconds");
    of_reference.insert("seconds_per_logit".into(), number::json(reference.seconds_per_logit));
    of_reference.insert("cpu_loss_relative_difference".into(), number::json(reference.cpu_difference));
    of_reference.insert("gpu_loss_relative_difference".into(), reference.gpu_difference.map(number::json).into());
    let break_even: Vec<_> = series
        .break_even
        .iter()
        .map(|(pass, from)| {
            json!({
                "pass": pass.to_string(),
                "call": break_even(from.call),
                "with_upload": break_even(from.with_upload),
                "round_trip": break_even(from.round_trip),
            })
        })
        .collect();
    json!({
        "loss": series.loss.to_string(),
        "dtype": series.dtype.name(),
        "classes": series.classes,
        "points": series.points.iter().map(point).collect::<Vec<_>>(),
        "break_even": break_even,
        "reference": of_reference,
    })
}

fn break_even(from: BreakEven) -> Value {
    json!({ "rows": from.rows().map(number::json), "is": from.kind() })
}

fn point(point: &Point) -> Value {
    json!({
        "rows": point.rows,
        "asked_for": point.is_given,
        "upload": point.upload.map(transfer),
        "passes": point.passes.iter().map(pass).collect::<Vec<_>>(),
    })
}

fn pass(result: &PassResult) -> Value {
    json!({
        "pass": result.pass.to_string(),
        "bytes_that_must_move": result.bytes,
        "cpu": speed(&result.cpu),
        "gpu": result.gpu.as_ref().map(gpu),
    })
}

fn gpu(result: &GpuResult) -> Value {
    let mut seconds = Map::new();
    let named = [("call", result.call), ("with_upload", result.with_upload), ("round_trip", result.round_trip)];
    named.into_iter().for_each(|(name, spread)| spread.put(&mut seconds, name, "seconds"));
    let mut speedup = Map::new();
    let ratios = &result.speedup;
    let named: [(&str, Spread); 4] = [
        ("kernel", ratios.kernel),
        ("call", ratios.call),
        ("with_upload", ratios.with_upload),
        ("round_trip", ratios.round_trip),
    ];
    named.into_iter().for_each(|(name, spread)| spread.put(&mut speedup, name, "cpu_over_gpu"));
    json!({
        "kernel": speed(&result.kernel),
        "times": seconds,
        "readback": transfer(result.readback),
        "speedup": speedup,
    })
}

fn speed(speed: &Speed) -> Value {
    let mut object = Map::new();
    speed.seconds.put(&mut object, "time", "seconds");
    speed.gb_per_second.put(&mut object, "rate", "gb_per_second");
    speed.share_of_copy.put(&mut object, "rate", "share_of_copy");
    Value::Object(object)
}

fn transfer(transfer: Transfer) -> Value {
    let mut object = Map::new();
    object.insert("bytes".into(), transfer.bytes.into());
    transfer.seconds.put(&mut object, "time", "seconds");
    transfer.gb_per_second.put(&mut object, "rate", "gb_per_second");
    Value::Object(object)
}
