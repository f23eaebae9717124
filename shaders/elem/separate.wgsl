// Logits are read from one buffer, results are written to another.
// Needs: Chunk, unpack, pack. Provides: load_chunk, store_chunk, store_partial, before_stores.

@group(0) @binding(1) var<storage, read> logits: array<Chunk>;
@group(0) @binding(2) var<storage, read_write> gradient: array<Chunk>;

fn load_chunk(chunk: u32) -> vec4<f32> { return unpack(logits[chunk]); }
fn before_stores() {}
fn store_chunk(chunk: u32, x: vec4<f32>) { gradient[chunk] = pack(x); }
// Groups of rows end on a chunk boundary here, so a chunk is never partial.
fn store_partial(chunk: u32, x: vec4<f32>, count: u32) { store_chunk(chunk, x); }
