// The gradient is written over the logits.
// Needs: params, elem. Provides: logits, before_stores, store_chunk, store_masked, store_element, which count from the start of
// the window.

@group(0) @binding(1) var<storage, read_write> logits: array<Chunk>;

// A fast lane must not write over a logit, such as the target's, that a slower one has yet to read.
fn before_stores() { storageBarrier(); }
fn store_chunk(chunk: u32, x: vec4<f32>) { logits[params.logits_base / 4u + chunk] = pack(x); }
// What `keep` leaves out may belong to nobody: it keeps its value.
fn store_masked(chunk: u32, x: vec4<f32>, keep: vec4<bool>) {
    let i = params.logits_base / 4u + chunk;
    logits[i] = blend(logits[i], x, keep);
}
fn store_element(element: u32, x: f32) {
    store_masked(element / 4u, vec4(x), vec4(0u, 1u, 2u, 3u) == vec4(element % 4u));
}
