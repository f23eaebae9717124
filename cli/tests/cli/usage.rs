//! Command lines that are wrong: exit code 2, and nothing is read or written.

use crate::files::{Files, logits, targets};
use crate::run::Run;

#[test]
fn wrong_command_lines() {
    let files = Files::new();
    let x = files.f32("x.npy", &[2, 3], &logits(2, 3));
    let y = files.i64("y.npy", &[2], &targets(2, 3));
    let before = files.names();
    let (out, input) = (files.path("o.npy"), x.display());
    let out = out.display();
    let table: &[(String, &[&str])] = &[
        ("--label-smoothing 2".into(), &["--label-smoothing", "2", "[0, 1]"]),
        ("--label-smoothing -0.1".into(), &["--label-smoothing", "-0.1"]),
        ("--label-smoothing nan".into(), &["--label-smoothing", "NaN"]),
        ("--temperature 0".into(), &["--temperature", "greater than 0"]),
        ("--temperature inf".into(), &["--temperature", "finite"]),
        ("--z-loss -1".into(), &["--z-loss"]),
        ("--loss nll --label-smoothing 0.1".into(), &["--label-smoothing", "nll"]),
        ("--loss nll --temperature 1".into(), &["--temperature", "nll"]),
        ("--loss nll --z-loss 0".into(), &["--z-loss", "nll"]),
        (format!("--loss nll --out-log-prob {out}"), &["--out-log-prob", "nll"]),
        ("--loss hinges".into(), &["hinges"]),
        ("--reduction batchmean".into(), &["batchmean"]),
        ("--no-ignore-index --ignore-index 1".into(), &["--no-ignore-index"]),
        ("--ignore-index 3000000000".into(), &["3000000000"]),
        ("--memory 5parsecs".into(), &["parsecs"]),
        ("--memory 0".into(), &["--memory"]),
        ("--engine cpu --adapter 0".into(), &["--adapter"]),
        (format!("--out-loss {out} --out-grad {out}"), &["--out-loss", "--out-grad", "same file"]),
        (format!("--out-grad {input}"), &["--out-grad", "x.npy", "input"]),
        ("--no-such-option".into(), &["--no-such-option"]),
    ];
    for (more, texts) in table {
        Run::eval(&x, &y, more).fails(2, texts);
        assert_eq!(files.names(), before, "{more}");
    }
}

#[test]
fn too_many_ignore_indices() {
    let files = Files::new();
    let (x, y) = (files.f32("x.npy", &[1, 2], &[0.0; 2]), files.i64("y.npy", &[1], &[0]));
    let many: String = (0..17).map(|i| format!(" --ignore-index {}", -i - 1)).collect();
    Run::eval(&x, &y, &many).fails(2, &["--ignore-index", "16"]);
    let some = " --ignore-index -5 --ignore-index 0 --json --engine cpu";
    assert_eq!(Run::eval(&x, &y, some).json()["ignored"], 1);
}

#[test]
fn without_arguments_or_with_unknown_commands() {
    Run::new(["evaluate"]).fails(2, &["evaluate"]);
    Run::new(["eval"]).fails(2, &["--logits", "--targets"]);
    Run::new([] as [&str; 0]).fails(2, &["demo", "eval", "devices", "shader"]);
    Run::new(["shader", "no-such-variant"]).fails(2, &["no-such-variant", "--list"]);
    Run::new(["shader", "cross_entropy"]).fails(2, &["several variants"]);
    Run::new(["shader"]).fails(2, &["--list"]);
}
