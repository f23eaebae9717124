use std::fs;

use super::{Files, LOGITS, assert_error, open, read_f32};
use crate::tensor::NpyOutput;

#[test]
fn the_file_is_that_of_numpy_to_the_byte() {
    let files = Files::new();
    let path = files.path("x.npy");
    let mut output = NpyOutput::create(&path, &[2, 3]).unwrap();
    output.write(4, &LOGITS[4..]).unwrap();
    output.write(0, &LOGITS[..2]).unwrap();
    output.write(2, &LOGITS[2..4]).unwrap();
    output.finish().unwrap();
    assert_eq!(fs::read(&path).unwrap(), include_bytes!("data/float32.npy"));

    NpyOutput::create(&path, &[0, 3]).unwrap().finish().unwrap();
    assert_eq!(fs::read(&path).unwrap(), include_bytes!("data/empty.npy"));
}

#[test]
fn single_values_and_unwritten_elements() {
    let files = Files::new();
    let mut output = NpyOutput::create(&files.path("value.npy"), &[]).unwrap();
    output.write(0, &[2.5]).unwrap();
    output.finish().unwrap();
    let value = open(&files.path("value.npy")).unwrap();
    assert_eq!((value.shape(), read_f32(&value)), (&[][..], vec![2.5]));

    let mut output = NpyOutput::create(&files.path("gaps.npy"), &[5]).unwrap();
    output.write(1, &[1.0]).unwrap();
    output.write(3, &[3.0]).unwrap();
    output.finish().unwrap();
    assert_eq!(read_f32(&open(&files.path("gaps.npy")).unwrap()), [0.0, 1.0, 0.0, 3.0, 0.0]);
}

#[test]
fn nothing_appears_before_it_is_finished() {
    let files = Files::new();
    let path = files.add_f32("x.npy", &[1], &[1.0]);
    let mut output = NpyOutput::create(&path, &[2]).unwrap();
    output.write(0, &[7.0, 8.0]).unwrap();
    assert_eq!(read_f32(&open(&path).unwrap()), [1.0]);
    drop(output);
    assert_eq!(fs::read_dir(files.0.path()).unwrap().count(), 1);
}

#[test]
#[cfg(unix)]
fn an_output_may_take_the_name_of_an_input() {
    let files = Files::new();
    let path = files.add_f32("x.npy", &[1], &[1.0]);
    let old = open(&path).unwrap();
    let mut output = NpyOutput::create(&path, &[2]).unwrap();
    output.write(0, &[7.0, 8.0]).unwrap();
    output.finish().unwrap();
    // An open map keeps the file that was replaced.
    assert_eq!((read_f32(&old), read_f32(&open(&path).unwrap())), (vec![1.0], vec![7.0, 8.0]));
    assert_eq!(fs::read_dir(files.0.path()).unwrap().count(), 1);
}

#[test]
fn writes_larger_than_the_buffer_arrive() {
    let files = Files::new();
    let path = files.path("x.npy");
    let values: Vec<f32> = (0..700_000_u32).map(|i| f32::from_bits(0x3f80_0000 + i)).collect();
    let mut output = NpyOutput::create(&path, &[values.len()]).unwrap();
    for (i, part) in values.chunks(99_991).enumerate() {
        output.write(i * 99_991, part).unwrap();
    }
    output.finish().unwrap();
    assert_eq!(read_f32(&open(&path).unwrap()), values);
}

#[test]
fn places_that_cannot_be_written_are_errors_at_creation() {
    let files = Files::new();
    let create = |name: &str, shape: &[usize]| NpyOutput::create(&files.path(name), shape);
    assert_error(create("absent/x.npy", &[1]), &["absent/x.npy", "does not exist", "create it"]);
    assert_error(create("x.safetensors", &[1]), &["x.safetensors", ".npy"]);
    fs::create_dir(files.path("folder.npy")).unwrap();
    assert_error(create("folder.npy", &[1]), &["folder.npy", "not a regular file"]);
    files.add("file", b"");
    assert_error(create("file/x.npy", &[1]), &["file/x.npy", "does not exist"]);
    assert_error(create("x.npy", &[usize::MAX, 2]), &["x.npy", "overflows"]);
    assert_error(create("x.npy", &[usize::MAX / 4]), &["x.npy", "overflows"]);
    // Larger than any file system allows.
    assert_error(create("x.npy", &[usize::MAX / 8]), &["x.npy"]);
    let mut output = create("x.npy", &[2]).unwrap();
    assert_error(output.write(1, &[0.0; 2]), &["x.npy", "do not fit"]);
    assert_error(output.write(usize::MAX, &[0.0; 2]), &["x.npy", "do not fit"]);
}

#[test]
#[cfg(unix)]
fn permissions_and_links_are_those_of_an_ordinary_file() {
    use std::os::unix::fs::PermissionsExt as _;
    let files = Files::new();
    let ordinary = files.add("target.npy", b"");
    std::os::unix::fs::symlink(&ordinary, files.path("link.npy")).unwrap();
    let mode = fs::metadata(&ordinary).unwrap().permissions().mode();
    NpyOutput::create(&files.path("link.npy"), &[1]).unwrap().finish().unwrap();
    assert!(fs::symlink_metadata(files.path("link.npy")).unwrap().is_symlink());
    assert_eq!(fs::metadata(&ordinary).unwrap().permissions().mode(), mode);
    assert_eq!(read_f32(&open(&ordinary).unwrap()), [0.0]);
}
