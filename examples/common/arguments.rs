//! The command line of the examples.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

/// What an example was asked for: `[--write] [FOLDER]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arguments {
    /// Whether the results replace those in `examples/data`.
    pub write: bool,
    /// Where pictures go.
    pub folder: PathBuf,
}

impl Arguments {
    /// The arguments that the program was started with.
    pub fn parse() -> Result<Self> {
        Self::of(std::env::args().skip(1))
    }

    /// Pictures go to `target/examples-output` of this package, unless a folder is named.
    pub fn of(arguments: impl Iterator<Item = String>) -> Result<Self> {
        let (mut write, mut folder) = (false, None);
        for argument in arguments {
            match argument.as_str() {
                "--write" => write = true,
                _ if argument.starts_with('-') => bail!("unknown option {argument:?}; the only one is --write"),
                _ if folder.is_some() => bail!("{argument:?} is one folder too many; pictures go to a single one"),
                _ => folder = Some(argument.into()),
            }
        }
        let folder = folder.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("target/examples-output"));
        Ok(Self { write, folder })
    }
}
