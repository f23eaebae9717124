//! Files that the tests write and read.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// A folder of files, deleted with it.
pub struct Files(TempDir);

impl Files {
    pub fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary folder"))
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn add(&self, name: &str, bytes: &[u8]) -> PathBuf {
        fs::write(self.path(name), bytes).expect("a writable folder");
        self.path(name)
    }

    pub fn f32(&self, name: &str, shape: &[usize], values: &[f32]) -> PathBuf {
        assert_eq!(values.len(), shape.iter().product::<usize>());
        self.add(name, &npy("<f4", shape, bytemuck::cast_slice(values)))
    }

    pub fn f64(&self, name: &str, shape: &[usize], values: &[f64]) -> PathBuf {
        self.add(name, &npy("<f8", shape, bytemuck::cast_slice(values)))
    }

    pub fn i64(&self, name: &str, shape: &[usize], values: &[i64]) -> PathBuf {
        assert_eq!(values.len(), shape.iter().product::<usize>());
        self.add(name, &npy("<i8", shape, bytemuck::cast_slice(values)))
    }

    /// Names of all files, sorted: also of any that were left unfinished.
    pub fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.0.path()).expect("a readable folder");
        let mut names: Vec<_> =
            entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }
}

/// Bytes of an `.npy` file.
pub fn npy(descr: &str, shape: &[usize], data: &[u8]) -> Vec<u8> {
    let shape: String = shape.iter().map(|n| format!("{n},")).collect();
    let dictionary = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({shape}), }}\n");
    let length = u16::try_from(dictionary.len()).expect("a short header").to_le_bytes();
    [b"\x93NUMPY\x01\x00", length.as_slice(), dictionary.as_bytes(), data].concat()
}

/// Shape, as its text, and values of an `.npy` file of float32.
pub fn read_npy(path: &Path) -> (String, Vec<f32>) {
    let bytes = fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let (header, data) = bytes[10..].split_at(usize::from(u16::from_le_bytes([bytes[8], bytes[9]])));
    let header = str::from_utf8(header).expect("an ASCII header");
    assert!(header.contains("'descr': '<f4'") && header.contains("'fortran_order': False"), "{header}");
    let shape = header.split(['(', ')']).nth(1).expect("a shape").to_owned();
    (shape, data.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect())
}

/// Logits that differ from each other, of (rows, classes).
pub fn logits(rows: usize, classes: usize) -> Vec<f32> {
    (0..rows * classes).map(|i| ((i * 7919 + i / classes * 31) % 4001) as f32 / 400.0 - 5.0).collect()
}

/// A class index a row.
pub fn targets(rows: usize, classes: usize) -> Vec<i64> {
    (0..rows).map(|r| (r * 13 % classes) as i64).collect()
}
