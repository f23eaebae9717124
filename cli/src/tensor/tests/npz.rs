use std::io::{Cursor, Write as _};

use zip::CompressionMethod;
use zip::write::{SimpleFileOptions, ZipWriter};

use super::{Files, LOGITS, assert_error, npy_file, open, read_f32, read_i32};
use crate::tensor::Tensor;

/// An archive of the given files.
pub fn archive(method: CompressionMethod, entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in entries {
        writer.start_file(*name, SimpleFileOptions::default().compression_method(method)).unwrap();
        writer.write_all(bytes).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

/// Replaces the only occurrences of `from` that there must be `times` of.
fn patch(bytes: &mut [u8], from: &[u8], to: &[u8], times: usize) {
    assert_eq!(from.len(), to.len());
    let found: Vec<_> = (0..bytes.len() - from.len()).filter(|&i| bytes[i..].starts_with(from)).collect();
    assert_eq!(found.len(), times);
    for i in found {
        bytes[i..i + to.len()].copy_from_slice(to);
    }
}

#[test]
fn files_written_by_numpy_are_read() {
    let files = Files::new();
    for bytes in [&include_bytes!("data/stored.npz")[..], include_bytes!("data/deflated.npz")] {
        let path = files.add("x.npz", bytes);
        let logits = open(&path).unwrap();
        assert_eq!((logits.shape(), read_f32(&logits)), (&[2, 3][..], LOGITS.to_vec()));
        assert_eq!(logits.source().to_string(), format!("{} (array 'logits')", path.display()));
        let targets = Tensor::open(&path, None, "targets").unwrap();
        assert_eq!((targets.shape(), read_i32(&targets).unwrap()), (&[2][..], vec![2, -100]));
        assert_error(Tensor::open(&path, Some("labels"), "targets"), &["x.npz", "'labels'", "'logits', 'targets'"]);
    }
}

#[test]
fn a_large_array_inflates_to_the_same_values() {
    let files = Files::new();
    let values: Vec<f32> = (0..u16::MAX).map(|i| f32::from(i).sin()).collect();
    let npy = npy_file("<f4", &[values.len()], bytemuck::cast_slice(&values));
    for method in [CompressionMethod::Stored, CompressionMethod::Deflated] {
        let x = open(&files.add("x.npz", &archive(method, &[("x.npy", &npy)]))).unwrap();
        assert_eq!(read_f32(&x), values);
    }
}

#[test]
fn arrays_without_elements_and_single_values_are_read() {
    let files = Files::new();
    for method in [CompressionMethod::Stored, CompressionMethod::Deflated] {
        let entries = [("e.npy", npy_file("<f4", &[3, 0], &[])), ("s.npy", npy_file("<f4", &[], &[0, 0, 0x80, 0x3f]))];
        let path = files.add("x.npz", &archive(method, &entries.each_ref().map(|(n, b)| (*n, &b[..]))));
        assert_eq!(Tensor::open(&path, Some("e"), "logits").unwrap().shape(), [3, 0]);
        assert_eq!(read_f32(&Tensor::open(&path, Some("s"), "logits").unwrap()), [1.0]);
    }
}

#[test]
fn damaged_archives_are_errors() {
    let files = Files::new();
    let check = |bytes: &[u8], parts: &[&str]| {
        let path = files.add("bad.npz", bytes);
        assert_error(open(&path), &["bad.npz"]);
        assert_error(open(&path), parts);
    };
    check(b"", &["not a readable .npz file"]);
    check(b"not a zip archive at all", &["not a readable .npz file"]);
    check(&archive(CompressionMethod::Stored, &[("readme.txt", b"hello")]), &["no arrays"]);
    check(&archive(CompressionMethod::Stored, &[("x.npy", b"hello")]), &["array 'x'", "not an .npy file"]);
    let long = npy_file("<f4", &[2], &[0; 12]);
    let short = npy_file("<f4", &[2], &[0; 4]);
    for method in [CompressionMethod::Stored, CompressionMethod::Deflated] {
        check(&archive(method, &[("x.npy", &long)]), &["array 'x'", "4 bytes follow"]);
        check(&archive(method, &[("x.npy", &short)]), &["array 'x'", "truncated"]);
    }

    // A flipped value is found by the checksum.
    let npy = npy_file("<f4", &[2], b"12345678");
    let mut flipped = archive(CompressionMethod::Stored, &[("x.npy", &npy)]);
    patch(&mut flipped, b"12345678", b"12345679", 1);
    check(&flipped, &["array 'x'", "damaged"]);

    // Compression method 93, zstd, in the local and the central header.
    let mut zstd = archive(CompressionMethod::Deflated, &[("x.npy", &npy)]);
    let needed = zstd[4..8].to_vec();
    patch(&mut zstd, &[&needed[..], &[8, 0]].concat(), &[&needed[..], &[93, 0]].concat(), 2);
    check(&zstd, &["not supported", "numpy.savez"]);
}

#[test]
fn an_array_that_inflates_to_more_than_it_promises_is_an_error() {
    let files = Files::new();
    // 64 MiB of zeros behind a header that promises 8 bytes, with the archive's sizes honest and then lying.
    let bomb = npy_file("<f4", &[2], &vec![0; 64 << 20]);
    let honest = archive(CompressionMethod::Deflated, &[("x.npy", &bomb)]);
    assert!(honest.len() < 1 << 17);
    assert_error(open(&files.add("bomb.npz", &honest)), &["bomb.npz", "bytes follow"]);
    let mut lying = honest;
    let size = |n: usize| u32::try_from(n).unwrap().to_le_bytes();
    patch(&mut lying, &size(bomb.len()), &size(npy_file("<f4", &[2], &[0; 8]).len()), 2);
    assert_error(open(&files.add("bomb.npz", &lying)), &["bomb.npz", "damaged"]);

    // A header and an archive that promise 4 GB which are not there.
    let npy = npy_file("<f4", &[1_000_000_000], &[0; 8]);
    let mut promise = archive(CompressionMethod::Deflated, &[("x.npy", &npy)]);
    patch(&mut promise, &size(npy.len()), &size(4_000_000_128), 2);
    assert_error(open(&files.add("promise.npz", &promise)), &["promise.npz", "cannot come from"]);
}
