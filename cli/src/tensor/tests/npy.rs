use super::super::npy::{Header, MAX_HEADER, header_bytes};
use super::{Files, LOGITS, assert_error, npy_file, open, read_f32, read_i32};
use crate::tensor::Element;

/// A file of version `major`.0 with a header of the given text.
fn file_with(major: u8, text: &str, data: &[u8]) -> Vec<u8> {
    let length = u32::try_from(text.len()).unwrap().to_le_bytes();
    let length = if major == 1 { &length[..2] } else { &length[..] };
    [b"\x93NUMPY", &[major, 0][..], length, text.as_bytes(), data].concat()
}

fn parse(text: &str) -> anyhow::Result<Header> {
    Header::parse(&file_with(1, text, &[]))
}

fn dictionary(descr: &str, shape: &str) -> String {
    format!("{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}\n")
}

#[test]
fn files_written_by_numpy_are_read() {
    let files = Files::new();
    let x = open(&files.add("x.npy", include_bytes!("data/float32.npy"))).unwrap();
    assert_eq!((x.shape(), x.element(), x.len()), (&[2, 3][..], Element::F32, 6));
    assert_eq!(x.as_f32(), Some(&LOGITS[..]));
    let x = open(&files.add("x.npy", include_bytes!("data/float16.npy"))).unwrap();
    assert_eq!((x.element(), read_f32(&x)), (Element::F16, LOGITS.to_vec()));
    let x = open(&files.add("x.npy", include_bytes!("data/scalar.npy"))).unwrap();
    assert_eq!((x.shape(), read_i32(&x).unwrap()), (&[][..], vec![7]));
    let x = open(&files.add("x.npy", include_bytes!("data/empty.npy"))).unwrap();
    assert_eq!((x.shape(), x.len(), x.as_f32()), (&[0, 3][..], 0, Some(&[][..])));
}

#[test]
fn layouts_of_numpy_that_are_not_supported_are_errors_with_a_remedy() {
    let files = Files::new();
    let cases: [(&[u8], &[&str]); 4] = [
        (include_bytes!("data/fortran.npy"), &["Fortran", "numpy.ascontiguousarray"]),
        (include_bytes!("data/big_endian.npy"), &["big-endian float32", "astype('<f4')"]),
        (include_bytes!("data/structured.npy"), &["structured", "x['field']"]),
        (include_bytes!("data/object.npy"), &["object", "astype"]),
    ];
    for (bytes, parts) in cases {
        let path = files.add("odd.npy", bytes);
        assert_error(open(&path), &["odd.npy"]);
        assert_error(open(&path), parts);
    }
}

#[test]
fn other_dtypes_are_errors_that_name_them() {
    for descr in ["<c8", "<U5", "|S3", "<M8[ns]", "<f16", "=f4", "f4", "", "<", "\u{e9}"] {
        assert_error(parse(&dictionary(&format!("'{descr}'"), "(1,)")), &["dtype"]);
    }
    assert_error(parse(&dictionary("'<V2'", "(1,)")), &["bfloat16", ".safetensors"]);
    assert_error(parse(&dictionary("('<f4', (2,))", "(1,)")), &["dtype"]);
    assert_eq!(parse(&dictionary("'>i1'", "(1,)")).unwrap().element, Element::I8);
}

#[test]
fn spellings_of_the_header_that_numpy_accepts_are_read() {
    for text in [
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }",
        "{'shape':(2,3),'fortran_order':False,'descr':'<f4'}",
        "  {\"descr\" : \"<f4\" , \"fortran_order\" :\tFalse , \"shape\" : ( 2 , 3 , ) } \n\n",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2L, 3L), }",
    ] {
        let header = parse(text).unwrap();
        assert_eq!((header.element, &header.shape[..]), (Element::F32, &[2, 3][..]), "{text}");
    }
    for major in [2, 3] {
        let file = file_with(major, &dictionary("'<f4'", "(1,)"), &[0, 0, 0x80, 0x3f]);
        assert_eq!(read_f32(&open(&Files::new().add("x.npy", &file)).unwrap()), [1.0]);
    }
    // Fortran order says nothing where at most one dimension is longer than 1.
    for (shape, fits) in [("()", true), ("(5,)", true), ("(1, 5, 1)", true), ("(0, 5, 2)", true), ("(2, 5)", false)] {
        let text = format!("{{'descr': '<f4', 'fortran_order': True, 'shape': {shape}}}");
        assert_eq!(parse(&text).is_ok(), fits, "{shape}");
    }
}

#[test]
fn malformed_headers_are_errors() {
    let nested = "(".repeat(60_000);
    let dimensions = format!("({})", "1,".repeat(65));
    for text in [
        "",
        "{",
        "{}",
        "}",
        "[]",
        "{'descr': '<f4', 'fortran_order': False}",
        "{'descr': '<f4', 'shape': (1,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1,)} x",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1,)",
        "{'descr': '<f4' 'fortran_order': False, 'shape': (1,)}",
        "{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (1,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1,), 'extra': 1}",
        "{'descr': '<f4', 'fortran_order': 0, 'shape': (1,)}",
        "{'descr': '<f4\\'', 'fortran_order': False, 'shape': (1,)}",
        "{'descr': '<f4",
        &dictionary("'<f4'", "(-1,)"),
        &dictionary("'<f4'", "(1.5,)"),
        &dictionary("'<f4'", "(1 1)"),
        &dictionary("'<f4'", "5"),
        &dictionary("'<f4'", "(18446744073709551616,)"),
        &dictionary("'<f4'", &nested),
        &dictionary("'<f4'", &dimensions),
        &dictionary(&nested, "(1,)"),
    ] {
        assert_error(parse(text), &["header", "numpy.save"]);
    }
}

#[test]
fn sizes_that_disagree_are_errors() {
    let files = Files::new();
    let check = |bytes: &[u8], parts: &[&str]| {
        let path = files.add("bad.npy", bytes);
        assert_error(open(&path), &["bad.npy"]);
        assert_error(open(&path), parts);
    };
    check(b"", &["not an .npy file"]);
    check(b"PK\x03\x04 something else", &["not an .npy file"]);
    check(b"\x93NUMPY\x01\x00", &["ends inside its header"]);
    check(b"\x93NUMPY\x04\x00\x00\x00", &["version 4.0"]);
    check(b"\x93NUMPY\x02\x00\xff\xff\xff\xff{}", &["claims 4294967295 bytes", &MAX_HEADER.to_string()]);
    check(b"\x93NUMPY\x01\x00\xff\xff{}", &["ends inside its header"]);
    let valid = npy_file("<f4", &[2, 3], &[0; 24]);
    check(&valid[..valid.len() - 1], &["truncated", "(2, 3) of float32", "152", "151"]);
    check(&[&valid[..], b"xy"].concat(), &["2 bytes follow", "(2, 3)", "one array a file"]);
    check(&npy_file("<f4", &[usize::MAX, usize::MAX], &[]), &["overflows"]);
    check(&npy_file("<f4", &[usize::MAX / 2], &[]), &["overflows"]);
    check(&npy_file("|u1", &[usize::MAX], &[]), &["overflows"]);
    check(&npy_file("<f4", &[1 << 40], &[]), &["truncated"]);
    // No elements, whatever the other dimensions claim.
    let empty = open(&files.add("e.npy", &npy_file("<f4", &[usize::MAX, 0, usize::MAX], &[]))).unwrap();
    assert_eq!(empty.len(), 0);
}

#[test]
fn the_array_starts_at_a_multiple_of_64_bytes() {
    for shape in [&[][..], &[1], &[0], &[2, 3], &[1 << 40; 6], &[9_999_999; 12]] {
        let header = header_bytes("<f4", shape);
        assert_eq!((header.len() % 64, header.last()), (0, Some(&b'\n')));
        let parsed = Header::parse(&header).unwrap();
        assert_eq!((&parsed.shape[..], parsed.data_start, parsed.element), (shape, header.len(), Element::F32));
    }
}
