// A chunk of four float32 logits, 16 bytes.
// Provides: Chunk, unpack, pack.

alias Chunk = vec4<f32>;

fn unpack(chunk: Chunk) -> vec4<f32> { return chunk; }
fn pack(x: vec4<f32>) -> Chunk { return x; }
