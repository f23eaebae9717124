//! Files that are wrong: exit code 1, a message that names the file and the place, nothing on standard output, and no output
//! file, not even a part of one.

use std::path::{Path, PathBuf};

use crate::files::{Files, logits, npy, targets};
use crate::run::{Run, command, eval, without_adapters};

const ROWS: usize = 6;
const CLASSES: usize = 4;

/// Files and output options of a run that would succeed.
struct Good {
    files: Files,
    x: PathBuf,
    y: PathBuf,
}

impl Good {
    fn new() -> Self {
        let files = Files::new();
        let x = files.f32("x.npy", &[ROWS, CLASSES], &logits(ROWS, CLASSES));
        let y = files.i64("y.npy", &[ROWS], &targets(ROWS, CLASSES));
        Self { files, x, y }
    }

    /// Asserts that evaluating `x` and `y` fails with `code`, names every text, and leaves no new file.
    #[track_caller]
    fn fails(&self, x: &Path, y: &Path, more: &str, code: i32, texts: &[&str]) {
        let before = self.files.names();
        let out = self.files.path("out.npy");
        let grad = self.files.path("grad.npy");
        let engine = if more.contains("--engine") { "" } else { "--engine cpu" };
        let more = format!("{more} {engine} --json --out-loss {} --out-grad {}", out.display(), grad.display());
        Run::eval(x, y, &more).fails(code, texts);
        assert_eq!(self.files.names(), before, "no file is left");
    }
}

#[test]
fn the_run_that_the_others_spoil_succeeds() {
    let good = Good::new();
    let out = good.files.path("out.npy");
    assert_eq!(Run::eval(&good.x, &good.y, &format!("--engine cpu --out-loss {}", out.display())).code, Some(0));
    assert!(out.exists());
}

#[test]
fn damaged_and_foreign_logits() {
    let good = Good::new();
    let whole = std::fs::read(&good.x).expect("the logits");
    let mut longer = whole.clone();
    longer.extend([0; 3]);
    let header = |shape: &[usize], descr| npy(descr, shape, &[0; 4 * ROWS * CLASSES]);
    let long_header = [&(u64::MAX).to_le_bytes()[..], b"{}"].concat();
    let lying = br#"{"logits":{"dtype":"F32","shape":[6,4],"data_offsets":[0,960]}}"#;
    let lying = [&(lying.len() as u64).to_le_bytes()[..], lying, &[0; 96]].concat();
    let table: [(&str, Vec<u8>, &[&str]); 11] = [
        ("cut.npy", whole[..whole.len() - 5].to_vec(), &["truncated"]),
        ("empty.npy", Vec::new(), &["not an .npy file"]),
        ("magic.npy", whole[..8].to_vec(), &["header"]),
        ("longer.npy", longer, &["3 bytes follow"]),
        ("lying.npy", header(&[usize::MAX, 4], "<f4"), &["overflows"]),
        ("claims.npy", header(&[1000, 4], "<f4"), &["truncated"]),
        ("text.npy", b"hello, this is text".to_vec(), &["not an .npy file"]),
        ("foreign.npz", b"PK\x03\x04 and then nothing".to_vec(), &["foreign.npz"]),
        ("huge.safetensors", long_header, &["truncated"]),
        ("lying.safetensors", lying, &["lying.safetensors"]),
        ("logits.csv", b"1,2,3".to_vec(), &[".npy, .npz and .safetensors"]),
    ];
    for (name, bytes, texts) in table {
        let x = good.files.add(name, &bytes);
        good.fails(&x, &good.y, "", 1, &[&[name], texts].concat());
    }
    good.fails(&good.files.path("absent.npy"), &good.y, "", 1, &["absent.npy"]);
    let folder = good.files.path("folder.npy");
    std::fs::create_dir(&folder).expect("a folder");
    good.fails(&folder, &good.y, "", 1, &["folder.npy"]);
}

#[test]
fn shapes_and_types_that_do_not_fit() {
    let good = Good::new();
    let wide = good.files.f32("wide.npy", &[CLASSES, ROWS], &logits(ROWS, CLASSES));
    good.fails(&wide, &good.y, "", 1, &["wide.npy", "y.npy", "--class-axis 0"]);
    let short = good.files.i64("short.npy", &[ROWS - 1], &targets(ROWS - 1, CLASSES));
    good.fails(&good.x, &short, "", 1, &["short.npy", "(5,)", "(6,)"]);
    good.fails(&good.x, &good.y, "--class-axis 2", 1, &["class axis 2", "(6, 4)", "--class-axis -1"]);
    good.fails(&good.y, &good.y, "", 1, &["y.npy", "int64", "floats"]);
    good.fails(&good.x, &good.x, "", 1, &["x.npy", "float32", "integers"]);
    good.fails(&good.x, &good.y, "--logits-key scores", 1, &["x.npy", "scores"]);
}

#[test]
fn a_bad_target_is_named_before_any_logit_is_read() {
    let good = Good::new();
    for (value, more) in
        [(4_i64, ""), (-1, ""), (-100, "--no-ignore-index"), (1 << 40, ""), (-100, "--ignore-index -1")]
    {
        let mut values = targets(ROWS, CLASSES);
        values[3] = value;
        let y = good.files.i64("bad.npy", &[ROWS], &values);
        let place = if value > i64::from(i32::MAX) { "index 3" } else { "row 3" };
        for engine in ["cpu", "gpu", "reference"] {
            good.fails(&good.x, &y, &format!("{more} --engine {engine}"), 1, &["bad.npy", place, &value.to_string()]);
        }
    }
}

#[test]
fn a_bad_target_of_the_second_file_is_named_by_its_own_row() {
    let good = Good::new();
    let first = good.files.i64("first.npy", &[4], &[0, 1, 2, 3]);
    let second = good.files.i64("second.npy", &[2], &[0, 77]);
    let mut run = command(["eval", "--engine", "cpu", "--logits"]);
    run.arg(&good.x).arg("--targets").args([first, second]);
    Run::of(&mut run).fails(1, &["second.npy, row 1", "77", "0 to 3"]);

    let x = good.files.f32("nd.npy", &[2, 3, 2, 2], &logits(8, 3));
    let y = good.files.i64("nd-y.npy", &[2, 2, 2], &[0, 1, 2, 0, 1, 9, 0, 1]);
    good.fails(&x, &y, "", 1, &["nd-y.npy", "row 5", "(1, 0, 1)", "target 9"]);
}

#[test]
fn class_weights_that_do_not_fit() {
    let good = Good::new();
    let three = good.files.f32("three.npy", &[3], &[1.0; 3]);
    good.fails(&good.x, &good.y, &format!("--weight {}", three.display()), 1, &["three.npy", "(3,)", "(4,)"]);
    let negative = good.files.f32("negative.npy", &[4], &[1.0, 1.0, -2.0, 1.0]);
    good.fails(&good.x, &good.y, &format!("--weight {}", negative.display()), 1, &["negative.npy", "class 2", "-2"]);
    let tiny = good.files.f32("tiny.npy", &[4], &[1e-45; 4]);
    let one = good.files.i64("one.npy", &[ROWS], &[0, -100, -100, -100, -100, -100]);
    good.fails(&good.x, &one, &format!("--weight {}", tiny.display()), 1, &["weights", "float32"]);
}

#[test]
fn outputs_that_cannot_be_written() {
    let good = Good::new();
    good.fails(&good.x, &good.y, "--out-log-prob /nonexistent/p.npy", 1, &["/nonexistent/p.npy", "create it first"]);
    let text = good.files.path("p.txt");
    good.fails(&good.x, &good.y, &format!("--out-log-prob {}", text.display()), 1, &["p.txt", ".npy"]);
}

#[test]
fn no_adapter() {
    let good = Good::new();
    let before = good.files.names();
    let out = good.files.path("out.npy");
    let mut run = eval(&good.x, &good.y, &format!("--engine gpu --out-loss {}", out.display()));
    Run::of(without_adapters(&mut run)).fails(3, &["no GPU adapter"]);
    assert_eq!(good.files.names(), before);
    good.fails(&good.x, &good.y, "--engine gpu --adapter no-such-adapter", 3, &["no-such-adapter"]);
    good.fails(&good.x, &good.y, "--engine gpu --adapter 99", 3, &["99"]);
}
