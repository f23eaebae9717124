use super::{Files, Random, assert_error, open};
use crate::tensor::{ClassAxis, NpyOutput, TensorSet};

#[test]
fn the_default_is_that_of_pytorch() {
    let cases: [(&[usize], Option<isize>, [usize; 4]); 9] = [
        (&[5], None, [0, 1, 5, 1]),
        (&[4, 5], None, [1, 4, 5, 1]),
        (&[4, 5, 6, 7], None, [1, 4, 5, 42]),
        (&[4, 5, 6], Some(-1), [2, 20, 6, 1]),
        (&[4, 5, 6], Some(2), [2, 20, 6, 1]),
        (&[4, 5, 6], Some(-3), [0, 1, 4, 30]),
        (&[0, 5], None, [1, 0, 5, 1]),
        (&[4, 5, 0], None, [1, 4, 5, 0]),
        (&[5], Some(-1), [0, 1, 5, 1]),
    ];
    for (shape, axis, [index, outer, classes, inner]) in cases {
        let expected = ClassAxis { axis: index, outer, classes, inner };
        assert_eq!(ClassAxis::new(shape, axis).unwrap(), expected, "{shape:?} {axis:?}");
    }
}

#[test]
fn axes_that_do_not_exist_are_errors() {
    for axis in [2, -3, isize::MIN, isize::MAX] {
        let parts = ["(4, 5)", "-2 to 1", &axis.to_string()];
        assert_error(ClassAxis::new(&[4, 5], Some(axis)), &parts);
    }
    assert_error(ClassAxis::new(&[], None), &["single value"]);
    assert_error(ClassAxis::new(&[4, 0], None), &["axis 1", "(4, 0)", "no classes"]);
    assert_error(ClassAxis::new(&[usize::MAX, 0, usize::MAX, 2], None), &["no classes"]);
    assert_error(ClassAxis::new(&[0, 2, usize::MAX, 2], None).map(|_| ()), &["overflows"]);
}

#[test]
fn targets_choose_no_axis_but_name_the_one_that_fits() {
    let resolve = ClassAxis::resolve;
    assert_eq!(resolve(&[8, 5], &[8], None).unwrap().classes, 5);
    assert_eq!(resolve(&[5], &[], None).unwrap().rows(), 1);
    assert_eq!(resolve(&[2, 5, 3, 4], &[2, 3, 4], None).unwrap().inner, 12);
    assert_eq!(resolve(&[2, 3, 5], &[2, 3], Some(-1)).unwrap().classes, 5);
    // Both axes fit; the default wins.
    assert_eq!(resolve(&[8, 8], &[8], None).unwrap().axis, 1);
    assert_error(resolve(&[2, 3, 5], &[2, 3], None), &["(2, 3)", "(2, 3, 5)", "axis 1", "--class-axis -1"]);
    assert_error(resolve(&[5, 8], &[8], None), &["--class-axis 0"]);
    assert_error(resolve(&[2, 3, 5], &[2, 3], Some(9)), &["axis 9", "--class-axis -1"]);
    assert_error(resolve(&[8, 5], &[7], None), &["(7,)", "(8, 5)", "need shape (8,)"]);
    assert_error(resolve(&[8, 5], &[8, 1], None), &["(8, 1)", "(8, 5)", "need shape (8,)"]);
    assert_error(resolve(&[8, 5], &[8, 5], None), &["(8, 5)", "argmax(axis=1)"]);
    assert_error(resolve(&[8, 5], &[], None), &["()", "(8, 5)"]);
}

/// Values that are all different, exact in float32.
#[expect(clippy::cast_precision_loss)]
fn counting(len: usize) -> Vec<f32> {
    (0..len).map(|i| i as f32).collect()
}

/// Checks gather and scatter of random row ranges, in files split along the first axis, against the index formula.
fn check(files: &Files, shape: &[usize], axis: isize, random: &mut Random) {
    let values = counting(shape.iter().product());
    let rest: usize = shape[1..].iter().product();
    let cut = random.below(shape[0] + 1);
    let paths = [(0, cut), (cut, shape[0])].map(|(a, b)| {
        let part = [&[b - a], &shape[1..]].concat();
        files.add_f32(&format!("part{a}.npy"), &part, &values[a * rest..b * rest])
    });
    let paths = if cut == 0 { &paths[1..] } else { &paths[..] };
    let logits = TensorSet::open(paths, None, "logits").unwrap();
    let class_axis = ClassAxis::new(shape, Some(axis)).unwrap();
    let (rows, classes) = (class_axis.rows(), class_axis.classes);
    let oracle = |row: usize| {
        let (o, i) = (row / class_axis.inner, row % class_axis.inner);
        let values = &values;
        (0..classes).map(move |c| values[o * classes * class_axis.inner + c * class_axis.inner + i])
    };

    let mut output = NpyOutput::create(&files.path("out.npy"), shape).unwrap();
    let mut out = Vec::new();
    let mut row = 0;
    while row < rows {
        let end = row + 1 + random.below((rows - row).min(1 + rows / 3));
        class_axis.gather_rows(&logits, row..end, &mut out).unwrap();
        let expected: Vec<f32> = (row..end).flat_map(oracle).collect();
        assert_eq!(out, expected, "{shape:?} axis {axis} rows {row}..{end}");
        if let Some(borrowed) = class_axis.borrow_rows(&logits, row..end) {
            assert_eq!(borrowed, expected);
        }
        class_axis.release_rows(&logits, row..end);
        class_axis.scatter_rows(&mut output, row, &out).unwrap();
        row = end;
    }
    output.finish().unwrap();
    assert_eq!(super::read_f32(&open(&files.path("out.npy")).unwrap()), values, "{shape:?} axis {axis}");
}

#[test]
fn gather_and_scatter_agree_with_the_index_formula() {
    let files = Files::new();
    let mut random = Random(42);
    for _ in 0..150 {
        let ndim = 1 + random.below(4);
        let shape: Vec<usize> = (0..ndim).map(|_| 1 + random.below(9)).collect();
        let axis = isize::try_from(random.below(ndim)).unwrap();
        check(&files, &shape, axis, &mut random);
    }
    // Beyond one tile in rows, in classes, in both; a block that is exactly one tile; a single row.
    for shape in [[2, 3, 5000], [2, 17, 2032], [1, 40, 3000], [3, 50_000, 2], [1, 1, 4100], [2, 2033, 17]] {
        check(&files, &shape, 1, &mut random);
        check(&files, &shape, 0, &mut random);
        check(&files, &shape, 2, &mut random);
    }
}

#[test]
fn batches_without_rows_gather_nothing() {
    let files = Files::new();
    for shape in [&[0, 3][..], &[0, 3, 4], &[2, 3, 0]] {
        let logits = TensorSet::open(&[files.add_f32("e.npy", shape, &[])], None, "logits").unwrap();
        let axis = ClassAxis::new(shape, None).unwrap();
        let mut out = vec![1.0];
        axis.gather_rows(&logits, 0..0, &mut out).unwrap();
        assert!(out.is_empty());
        axis.release_rows(&logits, 0..0);
        let mut output = NpyOutput::create(&files.path("out.npy"), shape).unwrap();
        axis.scatter_rows(&mut output, 0, &[]).unwrap();
    }
}

#[test]
fn rows_that_do_not_fit_are_errors() {
    let files = Files::new();
    let logits = TensorSet::open(&[files.add_f32("x.npy", &[2, 3, 2], &counting(12))], None, "logits").unwrap();
    let axis = ClassAxis::new(&[2, 3, 2], None).unwrap();
    #[expect(clippy::reversed_empty_ranges)]
    for rows in [3..5, 2..1, 0..usize::MAX] {
        assert_error(axis.gather_rows(&logits, rows.clone(), &mut Vec::new()), &["outside the 4 rows"]);
        assert_eq!(axis.borrow_rows(&logits, rows), None);
    }
    let other = ClassAxis::new(&[2, 3, 3], None).unwrap();
    assert_error(other.gather_rows(&logits, 0..1, &mut Vec::new()), &["12 elements"]);
    let mut output = NpyOutput::create(&files.path("out.npy"), &[2, 3, 2]).unwrap();
    assert_error(axis.scatter_rows(&mut output, 0, &[0.0; 4]), &["no whole rows"]);
    assert_error(axis.scatter_rows(&mut output, 3, &[0.0; 6]), &["outside the 4 rows"]);
    assert_error(axis.scatter_rows(&mut output, usize::MAX, &[0.0; 6]), &["outside"]);
}

#[test]
fn chunks_are_whole_blocks_where_one_fits() {
    let axis = ClassAxis { axis: 1, outer: 10, classes: 3, inner: 100 };
    assert_eq!([350, 100, 99, 1].map(|rows| axis.chunk_rows(rows, 1)), [300, 100, 99, 1]);
    assert_eq!([350, 100, 99, 1].map(|rows| axis.chunk_rows(rows, 8)), [200, 96, 96, 8]);
    let last = ClassAxis { axis: 1, outer: 10, classes: 3, inner: 1 };
    assert_eq!(last.chunk_rows(7, 1), 7);
    assert_eq!(last.chunk_rows(7, 4), 4);
}
