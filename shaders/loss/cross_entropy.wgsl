// Categorical cross-entropy against a class index, in nats: -log p_t = softplus(z), with the slope 1 - p_t = sigmoid(z).
//
// Needs: row/margin, which has the rest of it: weights, label smoothing, z-loss, temperature.
// Provides: margin_loss.

fn margin_loss(m: Margin) -> MarginLoss { return MarginLoss(m.softplus, m.sigmoid); }
