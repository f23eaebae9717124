// Logits are read, and no gradient is kept.
// Needs: params, elem, Stored of place/load_*. Provides: logits, before_stores, store_chunk, store_masked, store_element, which
// count from the start of the window.

@group(0) @binding(1) var<storage, read> logits: array<Stored>;

fn before_stores() {}
fn store_chunk(chunk: u32, x: vec4<f32>) {}
fn store_masked(chunk: u32, x: vec4<f32>, keep: vec4<bool>) {}
fn store_element(element: u32, x: f32) {}
