// Logits are read, and no gradient is kept.
// Needs: params, elem. Provides: load_chunk, load_element, before_stores, store_chunk, store_masked, store_element.
// Chunks and elements count from the start of the window.

@group(0) @binding(1) var<storage, read> logits: array<Chunk>;

fn load_chunk(chunk: u32) -> vec4<f32> { return unpack(logits[params.logits_base / 4u + chunk]); }
fn load_element(element: u32) -> f32 { return load_chunk(element / 4u)[element % 4u]; }

fn before_stores() {}
fn store_chunk(chunk: u32, x: vec4<f32>) {}
fn store_masked(chunk: u32, x: vec4<f32>, keep: vec4<bool>) {}
fn store_element(element: u32, x: f32) {}
