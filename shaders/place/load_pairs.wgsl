// Logits are read in pairs of chunks of two words: 16 bytes where a word is two logits of 16 bits, 32 where it is two of 32 bits.
// Windows start and end with a pair.
// Needs: params, elem, logits of the place. Provides: Stored, load_chunk, load_two, load_element, which count from the start
// of the window.

alias Stored = vec4<Word>;  // so that it is one load whatever the compiler: two chunks are not merged where loads are checked

// The other half may be somebody else's, who is writing it.
fn load_chunk(chunk: u32) -> vec4<f32> {
    let i = params.logits_base / 4u + chunk;
    let word = 2u * (i % 2u);
    return unpack(vec2(logits[i / 2u][word], logits[i / 2u][word + 1u]));
}
// Two that are a pair.
fn load_two(chunks: vec2<u32>) -> mat2x4<f32> {
    let pair = logits[(params.logits_base / 4u + chunks.x) / 2u];
    return mat2x4(unpack(pair.xy), unpack(pair.zw));
}
fn load_element(element: u32) -> f32 { return load_chunk(element / 4u)[element % 4u]; }
