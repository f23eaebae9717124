// Results are written over the logits.
// Needs: Chunk, unpack, pack. Provides: load_chunk, store_chunk, store_partial, before_stores.

@group(0) @binding(1) var<storage, read_write> logits: array<Chunk>;

fn load_chunk(chunk: u32) -> vec4<f32> { return unpack(logits[chunk]); }
// A fast lane must not write over a logit, such as the target's, that a slower one has yet to read.
fn before_stores() { storageBarrier(); }
fn store_chunk(chunk: u32, x: vec4<f32>) { logits[chunk] = pack(x); }
// Groups of rows end on a chunk boundary here, so a chunk is never partial.
fn store_partial(chunk: u32, x: vec4<f32>, count: u32) { store_chunk(chunk, x); }
