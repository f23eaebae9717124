//! Ctrl-C, and files that are none.

use std::fs::OpenOptions;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::files::{Files, logits, targets};
use crate::run::{Run, command, eval};

#[test]
fn ctrl_c_removes_what_is_unfinished() {
    let files = Files::new();
    let (rows, classes) = (800_000, 10);
    let x = files.f32("x.npy", &[rows, classes], &vec![0.0; rows * classes]);
    let y = files.i64("y.npy", &[rows], &vec![0; rows]);
    let before = files.names();
    let more = format!("--engine reference --memory 1 --out-grad {}", files.path("g.npy").display());
    let mut run = eval(&x, &y, &more);
    let child = run.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts");
    let start = Instant::now();
    while files.names() == before {
        assert!(start.elapsed() < Duration::from_secs(60), "no output was begun");
        sleep(Duration::from_millis(1));
    }
    let killed = Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("kill");
    assert!(killed.success());
    let output = child.wait_with_output().expect("an end");
    assert_eq!(output.status.code(), Some(130));
    assert_eq!(output.stdout, b"");
    assert!(String::from_utf8_lossy(&output.stderr).contains("interrupted"));
    assert_eq!(files.names(), before);
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_standard_output_is_an_error() {
    let files = Files::new();
    let x = files.f32("x.npy", &[2, 3], &logits(2, 3));
    let y = files.i64("y.npy", &[2], &targets(2, 3));
    let full = || OpenOptions::new().write(true).open("/dev/full").expect("/dev/full");
    for mut run in [eval(&x, &y, "--engine cpu"), command(["shader", "gather"])] {
        let run = Run::of(run.stdout(full()));
        assert_eq!(run.code, Some(1));
        assert!(run.stderr.contains("cannot write to standard output"), "{}", run.stderr);
    }
}

#[test]
fn a_named_pipe_is_refused_and_not_waited_for() {
    let files = Files::new();
    let y = files.i64("y.npy", &[2], &[0, 1]);
    let pipe = files.path("pipe.npy");
    assert!(Command::new("mkfifo").arg(&pipe).status().expect("mkfifo").success());
    Run::eval(&pipe, &y, "--engine cpu").fails(1, &["pipe.npy", "not a regular file"]);
}
