//! What `logloss eval --help` says after the options.

use crate::loss;

/// No line is wider than 98 characters, which is where the help is wrapped.
const TARGETS: &str = "\
TARGETS
  class indices         cross-entropy, nll, focal, multi-margin
  one value a logit     soft-cross-entropy, kl-div (probabilities); bce, bce-with-logits,
                        sigmoid-focal (0 to 1); hinge, squared-hinge (-1 or +1); mse (any);
                        logit-divergence (logits)
  either                dice, generalized-dice, tversky, dice-cross-entropy, dice-focal
                        (class indices, or one-hot, or shares of each class)

  A region of dice and its kin is all positions of a class in a sample, an entry of the first
  dimension. With --batch, and for the sums dice-cross-entropy and dice-focal, the whole batch must
  fit --memory.

OPTIONS OF EACH LOSS
";

const REST: &str = "
METRICS, of losses of class indices
  perplexity   exp of the mean cross-entropy in nats of the rows that count, all alike: without
               class weights, label smoothing and z-loss, and with the softcap and the temperature
  bits         the same mean in bits: nats / ln 2
  top1, top5   share of the rows that count whose target is among the 1 or 5 largest logits; of two
               equal logits the lower class is the larger
  weight_sum   sum of weight[target] over the rows that count: what the mean divides by, but for
               multi-margin, whose mean divides by the number of these rows

EXAMPLES
  logloss eval --logits logits.npy --targets targets.npy
  logloss eval --logits shard-*.npy --targets labels.npz --reduction sum --json
  logloss eval --logits seg.safetensors --logits-key scores --targets masks.npy --class-axis 1 \\
               --weight w.npy --label-smoothing 0.1 --out-grad grad.npy
  logloss eval --loss dice --logits scores.npy --targets masks.npy --include-background false
  logloss eval --loss kl-div --reduction batchmean --logits student.npy --targets teacher.npy

Files may be larger than memory: they are read in chunks of rows, or of samples. The results do not
depend on the size of a chunk.";

/// The text after the options.
pub(super) fn after_options() -> String {
    format!("{TARGETS}{}{REST}", loss::options_by_loss())
}
