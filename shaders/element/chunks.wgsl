// Dense tensors chunk by chunk: they lie as the logits do.
// Needs: params. Provides: MASKED, load_targets, store_losses.

@group(0) @binding(3) var<storage, read> targets: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read_write> losses: array<vec4<f32>>;

const MASKED = false;  // every chunk is whole

fn load_targets(chunk: u32, dense: vec4<u32>) -> vec4<f32> { return targets[params.dense_base / 4u + chunk]; }
fn store_losses(chunk: u32, dense: vec4<u32>, x: vec4<f32>, keep: vec4<bool>) {
    losses[params.dense_base / 4u + chunk] = x;
}
