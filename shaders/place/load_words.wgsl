// Logits are read word by word: the last rows of a batch that does not end on a chunk boundary, and samples whose classes do not
// start on one.
// Needs: params, elem, logits of the place. Provides: load_chunk, load_two, load_element, which count from the start of
// the window. A chunk starts at a word; it may end behind the last logit, where nothing is read.

fn load_chunk(chunk: u32) -> vec4<f32> {
    let first = (params.logits_base + 4u * chunk) * WORDS / 4u;
    var c = Chunk();
    for (var i = 0u; i < WORDS; i++) { c[i] = logits[min(first + i, arrayLength(&logits) - 1u)]; }
    return unpack(c);
}
fn load_two(chunks: vec2<u32>) -> mat2x4<f32> { return mat2x4(load_chunk(chunks.x), load_chunk(chunks.y)); }
fn load_element(element: u32) -> f32 {
    let e = params.logits_base + element;
    let word = e * WORDS / 4u;
    var c = Chunk();
    c[word % WORDS] = logits[word];
    return unpack(c)[e % 4u];
}
