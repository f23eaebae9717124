//! `logloss bench`: what it reports, never how fast anything is.

use std::fs;

use serde_json::Value;

use crate::files::Files;
use crate::run::{Run, command, without_adapters};

/// Small enough for a build without optimisation.
const SMALL: &str = "bench --quick --quiet --rounds 2 --shape 40x33";

fn run(more: &str) -> Run {
    Run::new(SMALL.split_whitespace().chain(more.split_whitespace()))
}

/// Every number under `value` with the path to it, objects and arrays alike.
fn numbers(path: &str, value: &Value, found: &mut Vec<(String, f64)>) {
    match value {
        Value::Object(fields) => {
            fields.iter().for_each(|(key, value)| numbers(&format!("{path}/{key}"), value, found));
        }
        Value::Array(values) => {
            values.iter().enumerate().for_each(|(i, value)| numbers(&format!("{path}/{i}"), value, found));
        }
        Value::Number(number) => found.push((path.to_owned(), number.as_f64().expect("a number"))),
        Value::String(text) => {
            assert!(!["NaN", "Infinity", "-Infinity"].contains(&text.as_str()), "{path} is {text}");
        }
        Value::Null | Value::Bool(_) => {}
    }
}

#[track_caller]
fn all_positive(report: &Value) {
    let mut found = Vec::new();
    numbers("", report, &mut found);
    assert!(found.len() > 50, "{report}");
    for (path, number) in found {
        // An engine may be exactly right.
        let may_be_zero = path.ends_with("relative_difference");
        assert!(number > 0.0 || (may_be_zero && number == 0.0), "{path} is {number}");
    }
}

#[test]
fn json_has_every_number() {
    let report = run("--json --shape 9x70 --loss cross-entropy --loss bce --dtype f32 --dtype bf16 --threads 2").json();
    all_positive(&report);
    assert_eq!(report["shapes"], serde_json::json!(["40x33", "9x70"]));
    assert_eq!((&report["rounds"], &report["host"]["threads"]), (&2.into(), &2.into()));
    for field in ["name", "driver", "backend", "type", "kernel_clock"] {
        assert!(report["device"][field].is_string(), "{field}: {}", report["device"]);
    }
    let results = report["results"].as_array().expect("results");
    let cases: Vec<_> = results.iter().map(|r| (r["loss"].as_str(), r["dtype"].as_str())).collect();
    for loss in ["cross-entropy", "bce"] {
        for dtype in ["float32", "bfloat16"] {
            assert_eq!(cases.iter().filter(|&&case| case == (Some(loss), Some(dtype))).count(), 2, "{cases:?}");
        }
    }
    for result in results {
        assert_eq!(result["break_even"].as_array().map(Vec::len), Some(2));
        // What is measured is also right: the reference's bound for both engines, with room for the mean's own rounding.
        for engine in ["cpu", "gpu"] {
            let difference = result["reference"][format!("{engine}_loss_relative_difference")].as_f64();
            assert!(difference.is_some_and(|d| d < 1e-5), "{engine}: {result}");
        }
        let points = result["points"].as_array().expect("points");
        assert_eq!(points.iter().filter(|point| point["asked_for"] == true).count(), 1);
        for pass in points.iter().flat_map(|point| point["passes"].as_array().expect("passes")) {
            assert!(pass["gpu"]["kernel"]["time_median_seconds"].is_number(), "{pass}");
            assert!(pass["gpu"]["times"]["round_trip_upper_quartile_seconds"].is_number(), "{pass}");
            assert!(pass["cpu"]["rate_median_share_of_copy"].is_number(), "{pass}");
        }
    }
    let bytes = results[0]["points"].as_array().and_then(|points| points.last()).map(|p| &p["passes"][1]);
    assert_eq!(bytes.map(|b| &b["bytes_that_must_move"]), Some(&(2 * 4 * 40 * 33 + 4 * 40).into()));
}

#[test]
fn table_names_shapes_and_engines() {
    let run = run("--pass forward --loss dice");
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    for text in ["dice, float32, 40x33, forward", "GPU kernel", "with upload", "CPU, ", "of copy", "reference"] {
        assert!(run.stdout.contains(text), "'{text}' is not in: {}", run.stdout);
    }
    assert!(!run.stdout.contains("forward+gradient:"), "{}", run.stdout);
}

#[test]
fn without_a_gpu_the_cpu_is_measured() {
    let mut command = command(SMALL.split_whitespace().chain(["--json"]));
    let run = Run::of(without_adapters(&mut command));
    let report = run.json();
    all_positive(&report);
    assert!(report["device"].is_null() && report["results"][0]["points"][0]["passes"][0]["gpu"].is_null(), "{report}");
    assert!(run.stderr.contains("there is no GPU"), "{}", run.stderr);
}

#[test]
fn page_is_whole_and_needs_nothing() {
    let files = Files::new();
    let path = files.path("bench.html");
    let run = run(&format!("--html {}", path.display()));
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let page = fs::read_to_string(&path).expect("the page");
    assert!(page.starts_with("<!DOCTYPE html>") && page.ends_with("</html>"), "{page}");
    // The name of SVG's namespace is an address that nothing asks for.
    let rest = page.replace("http://www.w3.org/2000/svg", "");
    for text in ["http:", "https:", "src=", "href=", "@import", "url(", "<script", "NaN", "inf\""] {
        assert!(!rest.contains(text), "{text}");
    }
    let drawings: Vec<_> = page.split("<svg").skip(1).filter_map(|part| part.split_once("</svg>")).collect();
    assert!(drawings.len() > 4, "{}", drawings.len());
    for (drawing, _) in drawings {
        let drawing = format!("<svg{drawing}</svg>");
        let tree = roxmltree::Document::parse(&drawing).unwrap_or_else(|e| panic!("{e} in {drawing}"));
        assert!(tree.root_element().attribute("viewBox").is_some(), "{drawing}");
    }
    assert_eq!(files.names(), ["bench.html"]);
}

#[test]
fn a_shape_that_does_not_fit_is_left_out() {
    let run = run("--shape 4000000000x4000000000 --json --pass forward");
    let report = run.json();
    assert_eq!(report["shapes"], serde_json::json!(["40x33"]));
    assert!(run.stderr.contains("4000000000x4000000000 was left out"), "{}", run.stderr);
}

#[test]
fn wrong_command_lines() {
    for arguments in [
        "--shape 12",
        "--shape 0x3",
        "--shape 3x0",
        "--shape 1.5x2",
        "--shape 5000000000x2",
        "--loss hinges",
        "--dtype f64",
        "--pass backward",
        "--rounds 0",
        "--threads 0",
    ] {
        let option = arguments.split(' ').next().unwrap_or_default();
        Run::new("bench --quick".split(' ').chain(arguments.split(' '))).fails(2, &[option]);
    }
    let files = Files::new();
    let nowhere = files.path("no/such/place.html");
    run(&format!("--html {}", nowhere.display())).fails(1, &["place.html", "does not exist"]);
    run("--adapter no-such-adapter").fails(3, &["no-such-adapter"]);
}
