// Dense tensors entry by entry: the logits have gaps, which they have not, or end within a chunk.
// Needs: params. Provides: MASKED, load_targets, store_losses.

@group(0) @binding(3) var<storage, read> targets: array<f32>;
@group(0) @binding(6) var<storage, read_write> losses: array<f32>;

const MASKED = true;  // a chunk may hold what is no element

// What is no element may have any index: it reads some entry, and writes none.
fn load_targets(chunk: u32, dense: vec4<u32>) -> vec4<f32> {
    let i = min(params.dense_base + dense, vec4(arrayLength(&targets) - 1u));
    return vec4(targets[i.x], targets[i.y], targets[i.z], targets[i.w]);
}
fn store_losses(chunk: u32, dense: vec4<u32>, x: vec4<f32>, keep: vec4<bool>) {
    for (var i = 0u; i < 4u; i++) {
        if keep[i] { losses[params.dense_base + dense[i]] = x[i]; }
    }
}
