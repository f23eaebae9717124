//! `logloss shader`: the WGSL that the library composes.

use logloss::gpu::Shader;

use crate::failure::{Failure, Outcome};
use crate::output;

/// Options of `logloss shader`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Nothing but the WGSL goes to standard output:\n  \
                  logloss shader cross_entropy/f32/separate/workgroup > cross_entropy.wgsl\n\n\
                  The label of a loss of rows or of logits reads FRAGMENT/STORAGE[-words]/PLACE/SCHEDULE:\n\n  \
                  FRAGMENT  the loss, or softmax\n  \
                  STORAGE   f32, f16 (converted by the device), f16_packed (by hand) and bf16;\n            \
                  -words: word by word, where logits do not start or end on a chunk of four\n  \
                  PLACE     of the gradient: forward (none), separate, widened (in float32), in_place\n  \
                  SCHEDULE  workgroup or subgroup: a workgroup owns a row; its lanes combine so\n            \
                  one_subgroup: a subgroup owns a row; slices: a workgroup owns a part of one\n            \
                  lane: a lane owns a row; planes: a lane owns four positions\n            \
                  chunks or entries: a workgroup owns a block of logits\n\n\
                  Losses of regions are region_sums/STORAGE/forward/REDUCE, region_fold/REDUCE, FRAGMENT/finish/REDUCE and \
                  region_gradient/STORAGE/PLACE; survey, sum, gather, summary and mean are passes over vectors.")]
pub struct Arguments {
    /// Variant to print, as --list names it; the start of a label will do where only one has it
    label: Option<String>,

    /// List the labels of all variants, one a line
    #[arg(long, conflicts_with = "label")]
    list: bool,
}

/// Prints the source of a variant, or the labels of all.
///
/// # Errors
/// There is no such variant, or standard output is closed.
pub fn run(arguments: &Arguments) -> Outcome<()> {
    let all = Shader::all();
    let Some(label) = &arguments.label else {
        if !arguments.list {
            return Err(Failure::Usage("name a variant; 'logloss shader --list' lists them".into()));
        }
        let mut labels: Vec<_> = all.iter().map(|shader| shader.label()).collect();
        labels.sort();
        return output::result(labels.join("\n"));
    };
    let exact = all.iter().copied().find(|shader| shader.label() == *label);
    let starting: Vec<_> = all.iter().filter(|shader| shader.label().starts_with(label.as_str())).copied().collect();
    match (exact, starting.as_slice()) {
        (Some(shader), _) | (None, &[shader]) => output::result(shader.source().trim_end()),
        (None, []) => {
            Err(Failure::Usage(format!("no variant is labelled '{label}'; 'logloss shader --list' lists them")))
        }
        (None, several) => {
            let labels: Vec<_> = several.iter().map(|shader| shader.label()).collect();
            Err(Failure::Usage(format!("'{label}' is the start of several variants: {}", labels.join(", "))))
        }
    }
}
