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
        ("--gamma 2".into(), &["--gamma", "cross-entropy", "focal, sigmoid-focal, dice-focal"]),
        ("--loss focal --alpha 0.25".into(), &["--alpha", "focal", "sigmoid-focal, tversky"]),
        ("--loss dice --beta 0.5".into(), &["--beta", "tversky"]),
        ("--loss bce --margin 1".into(), &["--margin", "hinge, squared-hinge, multi-margin"]),
        ("--loss hinge --p 2".into(), &["--p", "multi-margin"]),
        ("--loss soft-cross-entropy --log-target".into(), &["--log-target", "kl-div"]),
        ("--loss kl-div --divergence kl".into(), &["--divergence", "logit-divergence"]),
        ("--loss bce --activation sigmoid".into(), &["--activation", "dice, generalized-dice, tversky"]),
        ("--include-background false".into(), &["--include-background", "cross-entropy"]),
        ("--loss tversky --squared-pred".into(), &["--squared-pred", "dice, dice-cross-entropy, dice-focal"]),
        ("--loss generalized-dice --jaccard".into(), &["--jaccard", "generalized-dice"]),
        ("--batch".into(), &["--batch", "dice"]),
        ("--loss mse --smooth-nr 1".into(), &["--smooth-nr", "dice"]),
        ("--loss mse --smooth-dr 1".into(), &["--smooth-dr", "dice"]),
        ("--loss dice --balance simple".into(), &["--balance", "generalized-dice"]),
        ("--loss dice --lambda-dice 1".into(), &["--lambda-dice", "dice-cross-entropy, dice-focal"]),
        ("--loss dice-focal --lambda-ce 1".into(), &["--lambda-ce", "dice-cross-entropy"]),
        ("--loss dice-cross-entropy --lambda-focal 1".into(), &["--lambda-focal", "dice-focal"]),
        (format!("--loss kl-div --weight {input}"), &["--weight", "kl-div"]),
        (format!("--pos-weight {input}"), &["--pos-weight", "bce-with-logits"]),
        ("--loss mse --ignore-index 1".into(), &["--ignore-index", "mse"]),
        ("--loss bce --no-ignore-index".into(), &["--no-ignore-index", "bce"]),
        ("--loss bce-with-logits --softcap 3".into(), &["--softcap", "kl-div"]),
        ("--softcap 0".into(), &["--softcap", "greater than 0"]),
        ("--loss dice --include-background maybe".into(), &["--include-background", "maybe"]),
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

// Until every engine has every loss.
#[cfg(any())]
#[test]
fn options_out_of_their_domain() {
    let files = Files::new();
    let (x, y) = (files.f32("x.npy", &[1, 2], &[0.0; 2]), files.i64("y.npy", &[1], &[0]));
    let out = files.path("o.npy");
    let out = out.display();
    let before = files.names();
    let table: &[(String, &[&str])] = &[
        ("--loss focal --gamma -1".into(), &["--gamma", "at least 0"]),
        ("--loss sigmoid-focal --alpha 2".into(), &["--alpha", "[0, 1]"]),
        ("--loss multi-margin --p 3".into(), &["--p is 3", "1 or 2"]),
        ("--loss hinge --margin inf".into(), &["--margin", "finite"]),
        ("--loss dice --smooth-dr -1".into(), &["--smooth-dr", "at least 0"]),
        ("--loss dice-cross-entropy --lambda-ce -1".into(), &["--lambda-ce is -1", "at least 0"]),
        ("--loss mse --reduction batchmean".into(), &["batchmean", "kl-div"]),
        (format!("--loss bce --out-log-prob {out}"), &["--out-log-prob", "bce", "probabilities"]),
        (format!("--loss dice-focal --out-loss {out}"), &["--out-loss", "dice-focal"]),
        ("--loss dice-cross-entropy --reduction none".into(), &["--reduction none", "dice-cross-entropy"]),
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
