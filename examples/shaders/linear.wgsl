// A linear classifier and its training by gradient descent with momentum.
// Entry points: forward computes logits = X W + b, one invocation a logit; update turns the logits' gradient, which the
// loss has written over the logits, into a step of the parameters, one invocation a parameter.
// The gradient of a parameter is a sum over the rows, used once and at once: it is never stored.

override FEATURES: u32;
override CLASSES: u32;
override LEARNING_RATE: f32;
override MOMENTUM: f32;

@group(0) @binding(0) var<storage, read> features: array<f32>;          // X, (rows, FEATURES)
@group(0) @binding(1) var<storage, read_write> logits: array<f32>;      // (rows, CLASSES); in update their gradient
@group(0) @binding(2) var<storage, read_write> parameters: array<f32>;  // W and, as its last row, b: (FEATURES + 1, CLASSES)
@group(0) @binding(3) var<storage, read_write> velocity: array<f32>;    // as parameters

@compute @workgroup_size(64)
fn forward(@builtin(global_invocation_id) id: vec3<u32>) {
    if id.x >= arrayLength(&logits) { return; }
    let row = id.x / CLASSES;
    let column = id.x % CLASSES;
    var logit = parameters[FEATURES * CLASSES + column];
    for (var i = 0u; i < FEATURES; i += 1u) {
        logit += features[row * FEATURES + i] * parameters[i * CLASSES + column];
    }
    logits[id.x] = logit;
}

@compute @workgroup_size(64)
fn update(@builtin(global_invocation_id) id: vec3<u32>) {
    if id.x >= arrayLength(&parameters) { return; }
    let feature = id.x / CLASSES;
    let column = id.x % CLASSES;
    let rows = arrayLength(&logits) / CLASSES;
    var gradient = 0.0;
    for (var row = 0u; row < rows; row += 1u) {
        // The bias is the parameter of a feature that is 1 in every row.
        var x = 1.0;
        if feature < FEATURES { x = features[row * FEATURES + feature]; }
        gradient += x * logits[row * CLASSES + column];
    }
    velocity[id.x] = MOMENTUM * velocity[id.x] + gradient;
    parameters[id.x] -= LEARNING_RATE * velocity[id.x];
}
