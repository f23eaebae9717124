//! Files damaged at random: whatever happens to their bytes, they open or they are an error, without a panic.

use zip::CompressionMethod;

use super::npz::archive;
use super::safetensors::file_with;
use super::{Files, Random, npy_file};
use crate::tensor::{Element, Tensor};

fn damage(bytes: &mut Vec<u8>, random: &mut Random) {
    for _ in 0..=random.below(3) {
        if bytes.is_empty() {
            return;
        }
        let at = random.below(bytes.len());
        match random.below(6) {
            0 => bytes.truncate(at),
            1 => bytes.insert(at, bytes[random.below(bytes.len())]),
            2 => drop(bytes.remove(at)),
            3 => bytes[at] ^= 1 << random.below(8),
            4 => bytes[at] = [0, 1, 0x7f, 0x80, 0xff, b'9', b'\'', b'('][random.below(8)],
            _ => {
                let end = (at + 1 + random.below(8)).min(bytes.len());
                bytes[at..end].fill([0, 0xff][random.below(2)]);
            }
        }
    }
}

#[test]
fn damaged_files_never_panic() {
    let files = Files::new();
    let mut random = Random(2026);
    let npy = npy_file("<f4", &[3, 4], &[0x3f; 48]);
    let targets = npy_file("<i8", &[3], &[1; 24]);
    let entries = [("logits.npy", &npy[..]), ("targets.npy", &targets[..])];
    let json = r#"{"logits":{"dtype":"F16","shape":[3,4],"data_offsets":[0,24]},"targets":{"dtype":"I64","shape":[3],"data_offsets":[24,48]}}"#;
    let originals = [
        ("x.npy", npy.clone()),
        ("x.npz", archive(CompressionMethod::Stored, &entries)),
        ("y.npz", archive(CompressionMethod::Deflated, &entries)),
        ("x.safetensors", file_with(json, &[2; 48])),
    ];
    let (mut opened, mut failed) = (0, 0);
    for (name, original) in originals {
        for _ in 0..3000 {
            let mut bytes = original.clone();
            damage(&mut bytes, &mut random);
            match Tensor::open(&files.add(name, &bytes), None, "logits") {
                Ok(tensor) => {
                    opened += 1;
                    let n = tensor.len();
                    assert!(n * tensor.element().size() <= bytes.len(), "{name} {:?}", tensor.shape());
                    let read = if tensor.element().is_float() {
                        tensor.read_f32(0..n, &mut vec![0.0; n])
                    } else {
                        tensor.read_i32(0..n, &mut vec![0; n])
                    };
                    assert!(read.is_ok() || matches!(tensor.element(), Element::U32 | Element::I64 | Element::U64));
                }
                Err(error) => {
                    failed += 1;
                    assert!(error.to_string().contains(name), "{error}");
                }
            }
        }
    }
    assert!(opened > 300 && failed > 3000, "{opened} opened, {failed} failed");
}
