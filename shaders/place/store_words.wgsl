// Results are written word by word, in the logits' element type.
// Needs: elem, and of the place stored_base, stored_word, store_word. Provides: store_chunk, store_masked, store_element, which
// count from the start of the window. A chunk starts at a word; behind the last logit nothing is written.

// What `keep` leaves out may belong to nobody: it keeps its value.
fn store_masked(chunk: u32, x: vec4<f32>, keep: vec4<bool>) {
    let first = (stored_base() + 4u * chunk) * WORDS / 4u;
    for (var i = 0u; i < WORDS; i++) {
        if touches(keep, i) {
            var c = Chunk();
            c[i] = stored_word(first + i);
            store_word(first + i, blend(c, x, keep)[i]);
        }
    }
}
fn store_chunk(chunk: u32, x: vec4<f32>) { store_masked(chunk, x, vec4(true)); }
fn store_element(element: u32, x: f32) {
    let e = stored_base() + element;
    let word = e * WORDS / 4u;
    var c = Chunk();
    c[word % WORDS] = stored_word(word);
    store_word(word, blend(c, vec4(x), vec4(0u, 1u, 2u, 3u) == vec4(e % 4u))[word % WORDS]);
}
