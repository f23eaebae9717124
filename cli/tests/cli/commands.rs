//! `devices`, `shader`, `demo` and the help texts.

use std::io::Read as _;
use std::process::Stdio;

use crate::run::{Run, command, number, without_adapters};

#[test]
fn devices_lists_adapters_and_their_variants() {
    let devices = Run::new(["devices", "--json"]).json();
    let first = &devices["adapters"][0];
    for key in ["name", "type", "backend", "driver"] {
        assert!(first[key].is_string(), "{key} in {first}");
    }
    assert_eq!(first["index"], 0);
    assert!(
        first["variants"]
            .as_array()
            .is_some_and(|list| list.iter().any(|v| v == "cross_entropy/f32/separate/workgroup"))
    );
    let table = Run::new(["devices"]).stdout;
    assert!(table.contains(first["name"].as_str().unwrap_or("a name")), "{table}");
}

#[test]
fn devices_without_any() {
    let none = Run::of(without_adapters(&mut command(["devices", "--json"]))).json();
    assert_eq!(none["adapters"].as_array().map(Vec::len), Some(0));
    let text = Run::of(without_adapters(&mut command(["devices"])));
    assert_eq!(text.code, Some(0));
    assert!(text.stdout.contains("No adapter"), "{}", text.stdout);
}

#[test]
fn shader_prints_wgsl_and_nothing_else() {
    let labels = Run::new(["shader", "--list"]).stdout;
    assert!(labels.lines().count() > 20);
    for label in labels.lines() {
        let run = Run::new(["shader", label]);
        assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""), "{label}");
        assert!(run.stdout.contains("fn ") && run.stdout.contains("@compute"), "{label}");
    }
}

#[test]
fn demo_agrees_with_the_reference() {
    let demo = Run::new(["demo", "--json"]).json();
    for batch in ["digits", "synthetic"] {
        let engines = demo[batch]["engines"].as_array().expect("engines");
        assert_eq!(engines.len(), 3, "a GPU, the CPU and the reference");
        let exact = number(&engines[2], "loss");
        for engine in engines {
            assert!((number(engine, "loss") / exact - 1.0).abs() < 1e-5, "{engine}");
            assert!(number(engine, "max_gradient_difference") < 1e-7, "{engine}");
        }
    }
    for row in demo["hard_rows"].as_array().expect("rows") {
        let exact = number(row, "reference");
        assert!(
            (number(row, "gpu") / exact - 1.0).abs() < 1e-5 && (number(row, "cpu") / exact - 1.0).abs() < 2e-6,
            "{row}"
        );
        assert!((number(row, "textbook_float32") / exact - 1.0).abs() > 1e-3, "{row}");
    }
}

#[test]
fn demo_without_an_adapter_shows_the_rest_in_a_narrow_table() {
    let run = Run::of(without_adapters(&mut command(["demo"])));
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert!(run.stderr.contains("no GPU adapter"), "{}", run.stderr);
    assert!(run.stdout.contains("cpu") && run.stdout.contains("reference"), "{}", run.stdout);
    assert!(run.stdout.lines().all(|line| line.chars().count() < 100), "{}", run.stdout);
}

#[test]
fn help_and_version() {
    for arguments in
        [&["--help"][..], &["eval", "--help"], &["devices", "--help"], &["shader", "--help"], &["demo", "--help"]]
    {
        let run = Run::new(arguments);
        assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""));
        assert!(run.stdout.lines().all(|line| line.chars().count() <= 110), "{}", run.stdout);
    }
    assert!(Run::new(["eval", "--help"]).stdout.contains("exp of the mean cross-entropy in nats"));
    assert!(Run::new(["--version"]).stdout.starts_with("logloss "));
}

#[test]
fn a_reader_that_stops_is_no_error() {
    let mut child =
        command(["shader", "--list"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program");
    // Closed before the program can have written.
    drop(child.stdout.take());
    let mut stderr = String::new();
    child.stderr.take().expect("a pipe").read_to_string(&mut stderr).expect("UTF-8");
    assert_eq!(child.wait().expect("an end").code(), Some(0));
    assert_eq!(stderr, "");
}
