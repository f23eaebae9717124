// Logits are read chunk by chunk.
// Needs: params, elem, logits of the place. Provides: load_chunk, load_element. Both count from the start of the window.

fn load_chunk(chunk: u32) -> vec4<f32> { return unpack(logits[params.logits_base / 4u + chunk]); }
fn load_element(element: u32) -> f32 { return load_chunk(element / 4u)[element % 4u]; }
