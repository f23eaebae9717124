//! Logits and targets as files that numpy reads.

use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use npyz::{AutoSerialize, WriterBuilder};

use super::training::Judgement;

/// Writes `NAME-logits.npy`, (rows, classes) float32, and `NAME-targets.npy`, (rows) int64, into `examples/data`.
pub fn write(name: &str, judgement: &Judgement) -> Result<()> {
    let rows = judgement.targets.len() as u64;
    let classes = judgement.logits.len() as u64 / rows.max(1);
    write_npy(&path(name, "logits"), &[rows, classes], judgement.logits.iter().copied())?;
    write_npy(&path(name, "targets"), &[rows], judgement.targets.iter().copied().map(i64::from))
}

/// The file of a result, whatever folder the example is started from.
pub fn path(name: &str, what: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("examples/data/{name}-{what}.npy"))
}

fn write_npy<T: AutoSerialize>(path: &Path, shape: &[u64], values: impl Iterator<Item = T>) -> Result<()> {
    let file = File::create(path).with_context(|| format!("cannot create {}", path.display()))?;
    let mut writer = npyz::WriteOptions::new().default_dtype().shape(shape).writer(BufWriter::new(file)).begin_nd()?;
    writer.extend(values)?;
    writer.finish().with_context(|| format!("cannot write {}", path.display()))?;
    println!("wrote {}", path.display());
    Ok(())
}
