use super::{Files, Random, assert_error, npy_file};
use crate::tensor::TensorSet;

#[test]
fn reads_cross_file_boundaries() {
    let files = Files::new();
    let values: Vec<f32> = (0_u8..60).map(f32::from).collect();
    // Rows of 4 in files of 3, 0, 1, 11 and 0 rows.
    let paths: Vec<_> = [(0, 3), (3, 3), (3, 4), (4, 15), (15, 15)]
        .iter()
        .enumerate()
        .map(|(i, &(a, b))| files.add_f32(&format!("{i}.npy"), &[b - a, 4], &values[4 * a..4 * b]))
        .collect();
    let set = TensorSet::open(&paths, None, "logits").unwrap();
    assert_eq!((set.shape(), set.len(), set.tensors().len()), (&[15, 4][..], 60, 5));
    let mut random = Random(7);
    for _ in 0..200 {
        let start = random.below(61);
        let end = start + random.below(61 - start);
        let mut out = vec![-1.0; end - start];
        set.read_f32(start..end, &mut out).unwrap();
        assert_eq!(out, values[start..end]);
        let one_file = [0..=12, 12..=16, 16..=60].iter().any(|f| f.contains(&start) && f.contains(&end));
        assert_eq!(set.as_f32(start..end), (one_file || start == end).then_some(&out[..]), "{start}..{end}");
        set.release(start..end);
    }
    for (index, name, local) in
        [(0, "0.npy", 0), (11, "0.npy", 11), (12, "2.npy", 0), (16, "3.npy", 0), (59, "3.npy", 43)]
    {
        let (source, at) = set.locate(index).unwrap();
        assert_eq!((source.path.file_name().unwrap().to_str().unwrap(), at), (name, local));
    }
    assert!(set.locate(60).is_none());
    assert_error(set.read_f32(59..61, &mut [0.0; 2]), &["59..61", "60"]);
    assert_error(set.read_f32(0..3, &mut [0.0; 2]), &["0..3"]);
    assert_eq!(set.as_f32(60..61), None);
}

#[test]
fn a_value_out_of_range_is_named_by_its_file_and_index() {
    let files = Files::new();
    let bytes = |values: &[i64]| values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<_>>();
    let a = files.add("a.npy", &npy_file("<i8", &[2], &bytes(&[1, 2])));
    let b = files.add("b.npy", &npy_file("<i8", &[3], &bytes(&[3, 1 << 33, 5])));
    let set = TensorSet::open(&[a, b], None, "targets").unwrap();
    assert_error(set.read_i32(0..5, &mut [0; 5]), &["b.npy", "flat index 1", "8589934592"]);
    let mut out = [0; 3];
    set.read_i32(0..3, &mut out).unwrap();
    assert_eq!(out, [1, 2, 3]);
}

#[test]
fn files_that_do_not_continue_one_another_are_errors() {
    let files = Files::new();
    let a = files.add_f32("a.npy", &[2, 2], &[0.0; 4]);
    let b = files.add_f32("b.npy", &[2, 3], &[0.0; 6]);
    let c = files.add_f32("c.npy", &[2, 2, 1], &[0.0; 4]);
    let half = files.add("half.npy", &npy_file("<f2", &[1, 2], &[0; 4]));
    let value = files.add_f32("value.npy", &[], &[0.0]);
    let open = |paths: &[&std::path::PathBuf]| TensorSet::open(paths, None, "logits");
    assert_error(open(&[&a, &b]), &["b.npy: shape (2, 3)", "(2, 2)", "a.npy", "first dimension"]);
    assert_error(open(&[&a, &a, &c]), &["c.npy: shape (2, 2, 1)", "a.npy"]);
    assert_error(open(&[&a, &half]), &["half.npy: float16", "float32", "a.npy"]);
    assert_error(open(&[&a, &value]), &["value.npy", "single value"]);
    assert_error(open(&[&value, &value]), &["value.npy", "single value"]);
    assert_error(open(&[]), &["no files"]);
    assert!(open(&[&value]).unwrap().shape().is_empty());
    let wide = files.add_f32("wide.npy", &[usize::MAX, 0], &[]);
    assert_error(open(&[&wide, &wide]), &["wide.npy", "too long"]);
}
