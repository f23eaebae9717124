//! Tests of the tensor files. `data/` holds small files written by numpy 2.4.6 and safetensors.

mod axis;
mod damage;
mod npy;
mod npz;
mod output;
mod safetensors;
mod set;

use std::fs;
use std::path::{Path, PathBuf};

use half::{bf16, f16};
use tempfile::TempDir;

use super::npy::header_bytes;
use super::{Element, Tensor};

/// What the files in `data/` hold as `logits`, shape (2, 3); their `targets` are 2 and -100.
const LOGITS: [f32; 6] = [-1.0, -0.5, 0.0, 0.5, 1.0, 1.5];

/// Files of one test, deleted with it.
struct Files(TempDir);

impl Files {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn add(&self, name: &str, bytes: &[u8]) -> PathBuf {
        fs::write(self.path(name), bytes).unwrap();
        self.path(name)
    }

    fn add_f32(&self, name: &str, shape: &[usize], values: &[f32]) -> PathBuf {
        self.add(name, &npy_file("<f4", shape, bytemuck::cast_slice(values)))
    }
}

fn npy_file(descr: &str, shape: &[usize], data: &[u8]) -> Vec<u8> {
    [header_bytes(descr, shape).as_slice(), data].concat()
}

fn open(path: &Path) -> anyhow::Result<Tensor> {
    Tensor::open(path, None, "logits")
}

fn read_f32(tensor: &Tensor) -> Vec<f32> {
    let mut out = vec![f32::NAN; tensor.len()];
    tensor.read_f32(0..tensor.len(), &mut out).unwrap();
    out
}

fn read_i32(tensor: &Tensor) -> anyhow::Result<Vec<i32>> {
    let mut out = vec![i32::MIN; tensor.len()];
    tensor.read_i32(0..tensor.len(), &mut out).map(|()| out)
}

/// Asserts that the error's one-line message has every part, the first of them the file's name.
#[track_caller]
fn assert_error<T>(result: anyhow::Result<T>, parts: &[&str]) {
    let message = result.err().expect("should be an error").to_string();
    for part in parts {
        assert!(message.contains(part), "{part:?} is missing from: {message}");
    }
    assert!(!message.contains('\n'), "more than one line: {message}");
}

/// Marsaglia's xorshift64: the same values in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % bound as u64).unwrap()
    }
}

#[test]
fn floats_widen_exactly_and_float64_rounds() {
    let files = Files::new();
    // Every float16, against half's conversion of single values; more than one block, and an uneven last one.
    let halves: Vec<u16> = (0..=u16::MAX).collect();
    let t = open(&files.add("h.npy", &npy_file("<f2", &[1 << 16], bytemuck::cast_slice(&halves)))).unwrap();
    assert_eq!((t.element(), t.element().size()), (Element::F16, 2));
    let mut out = vec![0.0; 60_001];
    t.read_f32(5..60_006, &mut out).unwrap();
    for (i, value) in out.iter().enumerate() {
        let expected = f16::from_bits(u16::try_from(i + 5).unwrap()).to_f32();
        assert!(value.to_bits() == expected.to_bits() || value.is_nan() && expected.is_nan(), "{i}");
    }

    let doubles = [0.1_f64, -1e300, f64::MIN_POSITIVE, 16_777_217.0];
    let t = open(&files.add("d.npy", &npy_file("<f8", &[4], bytemuck::cast_slice(&doubles)))).unwrap();
    assert_eq!(read_f32(&t), [0.1_f32, f32::NEG_INFINITY, 0.0, 16_777_216.0]);

    let values = [1.0_f32, -3.5, f32::INFINITY, 1e-40];
    let bits: Vec<u16> = values.iter().map(|&v| bf16::from_f32(v).to_bits()).collect();
    let mut out = [0.0; 4];
    super::element::to_f32(Element::Bf16, bytemuck::cast_slice(&bits), &mut out);
    assert_eq!(out.to_vec(), bits.iter().map(|&b| bf16::from_bits(b).to_f32()).collect::<Vec<_>>());
}

#[test]
fn integers_convert_with_a_range_check() {
    let files = Files::new();
    let cases: [(&str, &[u8], &[i32]); 9] = [
        ("|i1", &[0x80, 0x7f], &[-128, 127]),
        ("|u1", &[0x80, 0x7f], &[128, 127]),
        ("<i2", &[0x00, 0x80, 0xff, 0x7f], &[-32768, 32767]),
        ("<u2", &[0xff, 0xff, 1, 0], &[65535, 1]),
        ("<i4", &[0, 0, 0, 0x80, 0xff, 0xff, 0xff, 0x7f], &[i32::MIN, i32::MAX]),
        ("<u4", &[0xff, 0xff, 0xff, 0x7f, 9, 0, 0, 0], &[i32::MAX, 9]),
        ("<i8", &[0x9c, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 3, 0, 0, 0, 0, 0, 0, 0], &[-100, 3]),
        ("<u8", &[7, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0], &[7, 3]),
        ("|b1", &[0, 1], &[0, 1]),
    ];
    for (descr, data, expected) in cases {
        let t = open(&files.add("t.npy", &npy_file(descr, &[2], data))).unwrap();
        assert_eq!(read_i32(&t).unwrap(), expected, "{descr}");
        assert_eq!(read_f32(&t), expected.iter().map(|&i| i as f32).collect::<Vec<_>>(), "{descr}");
    }
    let wide: [(&str, Vec<u8>, &str); 4] = [
        ("<u4", [0_u32, 1 << 31].map(u32::to_le_bytes).concat(), "2147483648"),
        ("<i8", [0_i64, -(1 << 31) - 1].map(i64::to_le_bytes).concat(), "-2147483649"),
        ("<i8", [0_i64, 1 << 40].map(i64::to_le_bytes).concat(), "1099511627776"),
        ("<u8", [0_u64, u64::MAX].map(u64::to_le_bytes).concat(), "18446744073709551615"),
    ];
    for (descr, data, value) in wide {
        let t = open(&files.add("wide.npy", &npy_file(descr, &[2], &data))).unwrap();
        assert_error(read_i32(&t), &["wide.npy", "flat index 1", value]);
        // The index is that of the array also when the read starts later.
        assert_error(t.read_i32(1..2, &mut [0]), &["wide.npy", "flat index 1", value]);
    }
}

#[test]
fn the_wrong_kind_of_number_is_an_error() {
    let files = Files::new();
    let floats = open(&files.add_f32("floats.npy", &[2], &[1.0, 2.0])).unwrap();
    assert_error(read_i32(&floats), &["floats.npy", "float32", "integers", "astype"]);
    let ints = open(&files.add("ints.npy", &npy_file("<i4", &[2], &[0; 8]))).unwrap();
    assert_error(ints.check_floats(), &["ints.npy", "int32", "floats", "astype"]);
    assert_eq!(ints.as_f32(), None);
}

#[test]
fn ranges_that_do_not_fit_are_errors() {
    let files = Files::new();
    let t = open(&files.add_f32("t.npy", &[3], &[1.0, 2.0, 3.0])).unwrap();
    #[expect(clippy::reversed_empty_ranges)]
    for (range, len) in [(0..4, 4), (2..1, 0), (0..2, 3), (usize::MAX - 1..usize::MAX, 1), (0..usize::MAX, 3)] {
        assert_error(t.read_f32(range, &mut vec![0.0; len]), &["t.npy", "do not fill"]);
    }
    assert_eq!(t.as_f32(), Some(&[1.0, 2.0, 3.0][..]));
    #[expect(clippy::reversed_empty_ranges)]
    for range in [0..3, 0..usize::MAX, 5..1, 1..1] {
        t.release(range);
    }
    assert_eq!(read_f32(&t), [1.0, 2.0, 3.0]);
}

#[test]
fn files_that_are_no_tensor_files_are_errors() {
    let files = Files::new();
    assert_error(open(&files.path("absent.npy")), &["absent.npy"]);
    assert_error(open(&files.add("x.pt", b"")), &["x.pt", ".npy, .npz and .safetensors"]);
    assert_error(open(&files.add("noextension", b"")), &["noextension", "supported"]);
    fs::create_dir(files.path("folder.npy")).unwrap();
    assert_error(open(&files.path("folder.npy")), &["folder.npy", "not a regular file"]);
    let keyed = Tensor::open(&files.add_f32("x.npy", &[1], &[0.0]), Some("a"), "logits");
    assert_error(keyed, &["x.npy", "'a'", "without a name"]);
    assert_eq!(read_f32(&open(&files.add_f32("UPPER.NPY", &[1], &[4.0])).unwrap()), [4.0]);
}

#[test]
fn the_array_is_chosen_by_key_then_default_then_as_the_only_one() {
    let path = Path::new("x.npz");
    let names = |list: &[&str]| list.iter().map(ToString::to_string).collect::<Vec<_>>();
    let choose = |list: &[&str], key| super::choose_key(path, &names(list), key, "logits");
    assert_eq!(choose(&["a", "logits"], Some("a")).unwrap(), "a");
    assert_eq!(choose(&["a", "logits"], None).unwrap(), "logits");
    assert_eq!(choose(&["a"], None).unwrap(), "a");
    assert_error(choose(&["a", "b"], None), &["x.npz", "'logits'", "'a', 'b'", "--logits-key"]);
    assert_error(choose(&["a"], Some("b")), &["x.npz", "'b'", "it holds 'a'"]);
    assert_error(choose(&[], None), &["x.npz", "no arrays"]);
    let many: Vec<String> = (0..100).map(|i| format!("layer{i}")).collect();
    assert_error(super::choose_key(path, &many, None, "weight"), &["80 more", "name the array 'weight'"]);
}

/// Resident memory of this process in KiB.
#[cfg(target_os = "linux")]
fn resident() -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|l| l.starts_with("RssFile")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
#[cfg(target_os = "linux")]
fn released_pages_leave_memory() {
    let files = Files::new();
    let count = 16 << 20;
    let path = files.add("large.npy", &header_bytes("<f4", &[count]));
    let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.set_len(128 + 4 * count as u64).unwrap();
    let t = open(&path).unwrap();
    let before = resident();
    let mut chunk = vec![1.0; 1 << 20];
    let mut peak = 0;
    for start in (0..count).step_by(chunk.len()) {
        t.read_f32(start..start + chunk.len(), &mut chunk).unwrap();
        assert!(chunk.iter().all(|&v| v == 0.0));
        t.release(start..start + chunk.len());
        peak = peak.max(resident());
    }
    // 64 MiB pass through in chunks of 4 MiB; other tests of this process may map files of their own meanwhile.
    assert!(peak < before + 16 * 1024, "{before} KiB grew to {peak} KiB");
}
