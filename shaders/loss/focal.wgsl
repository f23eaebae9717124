// Focal loss against a class index, in nats, by the margin z:
//     f(z)  = sigmoid(z)^gamma softplus(z)
//     f'(z) = sigmoid(z)^gamma (sigmoid(z) + gamma sigmoid(-z) softplus(z))
// with sigmoid(z)^gamma = e^(-gamma softplus(-z)), which never takes the logarithm of a rounded probability.
//
// Needs: row/margin, which has the rest of it: weights, z-loss, temperature.
// Provides: margin_loss.

fn gamma() -> f32 { return params.options[1].x; }

fn margin_loss(m: Margin) -> MarginLoss {
    let modulation = accurate_exp(-gamma() * m.softplus_of_negative);
    // At the far end softplus is infinite where sigmoid(-z) is 0.
    let bend = gamma() * weighted(m.sigmoid_of_negative, m.softplus);
    return MarginLoss(weighted(modulation, m.softplus), modulation * (m.sigmoid + bend));
}
