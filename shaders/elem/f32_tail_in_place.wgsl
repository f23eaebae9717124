// As f32_tail_separate.wgsl, with the results written over the logits.
// Provides: load_chunk, store_chunk, store_partial, before_stores.

@group(0) @binding(1) var<storage, read_write> logits: array<f32>;

fn load_chunk(chunk: u32) -> vec4<f32> {
    let i = min(4u * chunk + vec4(0u, 1u, 2u, 3u), vec4(arrayLength(&logits) - 1u));
    return vec4(logits[i.x], logits[i.y], logits[i.z], logits[i.w]);
}
// A fast lane must not write over a logit, such as the target's, that a slower one has yet to read.
fn before_stores() { storageBarrier(); }
fn store_partial(chunk: u32, x: vec4<f32>, count: u32) {
    for (var i = 0u; i < count; i++) { logits[4u * chunk + i] = x[i]; }
}
fn store_chunk(chunk: u32, x: vec4<f32>) { store_partial(chunk, x, 4u); }
