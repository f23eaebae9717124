// result = sum / count, or the sum itself: the last step of the public reduction.
// Needs: params. Provides: the entry point finish. options[0].x is what the sum is multiplied by.

@group(0) @binding(1) var<storage, read> vector: array<f32>;
@group(0) @binding(2) var<storage, read_write> partials: array<f32>;

@compute @workgroup_size(1)
fn finish() {
    let divisor = params.options[0].x;
    partials[0] = vector[0] / divisor;
}
