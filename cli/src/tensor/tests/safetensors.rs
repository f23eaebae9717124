use super::{Files, LOGITS, assert_error, open, read_f32, read_i32};
use crate::tensor::{Element, Tensor};

/// A file with a header of the given JSON.
pub fn file_with(json: &str, data: &[u8]) -> Vec<u8> {
    [&(json.len() as u64).to_le_bytes()[..], json.as_bytes(), data].concat()
}

fn entry(dtype: &str, shape: &str, start: u64, end: u64) -> String {
    format!(r#"{{"dtype":"{dtype}","shape":{shape},"data_offsets":[{start},{end}]}}"#)
}

#[test]
fn files_written_by_safetensors_are_read() {
    let path = Files::new();
    let path = path.add("x.safetensors", include_bytes!("data/arrays.safetensors"));
    let logits = open(&path).unwrap();
    assert_eq!((logits.shape(), logits.element()), (&[2, 3][..], Element::F16));
    assert_eq!(read_f32(&logits), LOGITS);
    let targets = Tensor::open(&path, None, "targets").unwrap();
    assert_eq!((targets.shape(), read_i32(&targets).unwrap()), (&[2][..], vec![2, -100]));
    assert_error(Tensor::open(&path, Some("labels"), "targets"), &["x.safetensors", "'logits', 'targets'"]);
}

#[test]
fn every_dtype_has_its_element() {
    let files = Files::new();
    for (dtype, element) in [
        ("BOOL", Element::Bool),
        ("U8", Element::U8),
        ("I8", Element::I8),
        ("U16", Element::U16),
        ("I16", Element::I16),
        ("U32", Element::U32),
        ("I32", Element::I32),
        ("U64", Element::U64),
        ("I64", Element::I64),
        ("F16", Element::F16),
        ("BF16", Element::Bf16),
        ("F32", Element::F32),
        ("F64", Element::F64),
    ] {
        let size = element.size();
        let json = format!(r#"{{"x":{}}}"#, entry(dtype, "[3]", 0, 3 * size as u64));
        let x = open(&files.add("x.safetensors", &file_with(&json, &vec![0; 3 * size]))).unwrap();
        assert_eq!((x.element(), x.len()), (element, 3));
    }
}

#[test]
fn bfloat16_widens_unaligned_and_empty_arrays_are_read() {
    let files = Files::new();
    let json = format!(
        r#"{{"__metadata__":{{"format":"pt"}},"a":{},"e":{},"s":{}}}"#,
        entry("U8", "[1]", 0, 1),
        entry("F32", "[4,0]", 1, 1),
        entry("BF16", "[2]", 1, 5)
    );
    let path = files.add("x.safetensors", &file_with(&json, &[9, 0x80, 0x3f, 0x20, 0xc0]));
    assert_eq!(read_f32(&Tensor::open(&path, Some("s"), "logits").unwrap()), [1.0, -2.5]);
    assert_eq!(Tensor::open(&path, Some("e"), "logits").unwrap().shape(), [4, 0]);
    assert_error(open(&path), &["'a', 'e', 's'"]);
    // Unaligned float32 cannot be borrowed, but is read.
    let json = format!(r#"{{"a":{},"x":{}}}"#, entry("U8", "[1]", 0, 1), entry("F32", "[]", 1, 5));
    let json = json.clone() + &" ".repeat(json.len().next_multiple_of(8) - json.len());
    let path = files.add("x.safetensors", &file_with(&json, &[9, 0, 0, 0x80, 0x3f]));
    let x = Tensor::open(&path, Some("x"), "logits").unwrap();
    assert_eq!((x.as_f32(), read_f32(&x)), (None, vec![1.0]));
}

#[test]
fn malformed_files_are_errors() {
    let files = Files::new();
    let check = |bytes: &[u8], parts: &[&str]| {
        let path = files.add("bad.safetensors", bytes);
        assert_error(open(&path), &["bad.safetensors"]);
        assert_error(open(&path), parts);
    };
    let one = |dtype: &str, shape: &str, start, end| format!(r#"{{"x":{}}}"#, entry(dtype, shape, start, end));
    check(b"", &["too few for a header"]);
    check(&u64::MAX.to_le_bytes(), &["claims 18446744073709551615 bytes", "0 follow"]);
    check(&[&100_u64.to_le_bytes()[..], b"{}"].concat(), &["claims 100 bytes", "2 follow"]);
    check(&file_with("{", &[]), &["malformed header"]);
    check(&file_with("\u{0}", &[]), &["malformed header"]);
    check(&file_with(&"[".repeat(100_000), &[]), &["malformed header"]);
    check(&file_with("{}", &[]), &["no arrays"]);
    check(&file_with(&one("F4", "[2]", 0, 1), &[0]), &["F4", "not supported"]);
    check(&file_with(&one("Q7", "[2]", 0, 1), &[0]), &["malformed header", "Q7"]);
    check(&file_with(&one("F32", "[2]", 0, 8), &[0; 7]), &["truncated", "promises 8 bytes", "7 follow"]);
    check(&file_with(&one("F32", "[2]", 0, 8), &[0; 9]), &["1 bytes follow the last array"]);
    check(&file_with(&one("F32", "[2]", 0, 12), &[0; 12]), &["malformed header"]);
    check(&file_with(&one("F32", "[2]", 4, 12), &[0; 12]), &["malformed header"]);
    check(&file_with(&one("F32", "[-1]", 0, 4), &[0; 4]), &["malformed header"]);
    check(&file_with(&one("F32", "[9223372036854775808,2]", 0, 4), &[0; 4]), &["malformed header"]);
    check(&file_with(&one("U8", "[18446744073709551615]", 0, u64::MAX), &[0; 4]), &["malformed header"]);
    check(&file_with(&one("U8", "[2305843009213693951]", 0, (1 << 61) - 1), &[0; 4]), &["truncated"]);
    let overlap = format!(r#"{{"a":{},"x":{}}}"#, entry("U8", "[4]", 0, 4), entry("U8", "[4]", 2, 6));
    check(&file_with(&overlap, &[0; 6]), &["malformed header"]);
}
