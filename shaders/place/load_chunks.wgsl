// Logits are read chunk by chunk.
// Needs: params, elem, logits of the place. Provides: Stored, load_chunk, load_two, load_element, which count from the start of
// the window.

alias Stored = Chunk;

fn load_chunk(chunk: u32) -> vec4<f32> { return unpack(logits[params.logits_base / 4u + chunk]); }
fn load_two(chunks: vec2<u32>) -> mat2x4<f32> { return mat2x4(load_chunk(chunks.x), load_chunk(chunks.y)); }
fn load_element(element: u32) -> f32 { return load_chunk(element / 4u)[element % 4u]; }
