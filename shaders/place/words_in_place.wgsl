// As in_place.wgsl, word by word: the last rows of a batch that does not end on a chunk boundary, and samples whose classes
// do not start on one.
// Needs: params, elem. Provides: load_chunk, load_element, before_stores, store_chunk, store_masked, store_element.
// Chunks and elements count from the start of the window. Chunks must start at a word; a chunk may end behind the last
// logit, where nothing is read or written.

@group(0) @binding(1) var<storage, read_write> logits: array<Word>;

fn load_chunk(chunk: u32) -> vec4<f32> {
    let first = (params.logits_base + 4u * chunk) * WORDS / 4u;
    var c = Chunk();
    for (var i = 0u; i < WORDS; i++) { c[i] = logits[min(first + i, arrayLength(&logits) - 1u)]; }
    return unpack(c);
}
fn load_element(element: u32) -> f32 {
    let e = params.logits_base + element;
    let word = e * WORDS / 4u;
    var c = Chunk();
    c[word % WORDS] = logits[word];
    return unpack(c)[e % 4u];
}

// A fast lane must not write over a logit, such as the target's, that a slower one has yet to read.
fn before_stores() { storageBarrier(); }
// What `keep` leaves out may belong to nobody: it keeps its value.
fn store_masked(chunk: u32, x: vec4<f32>, keep: vec4<bool>) {
    let first = (params.logits_base + 4u * chunk) * WORDS / 4u;
    for (var i = 0u; i < WORDS; i++) {
        if touches(keep, i) {
            var c = Chunk();
            c[i] = logits[first + i];
            logits[first + i] = blend(c, x, keep)[i];
        }
    }
}
fn store_chunk(chunk: u32, x: vec4<f32>) { store_masked(chunk, x, vec4(true)); }
fn store_element(element: u32, x: f32) {
    let e = params.logits_base + element;
    let word = e * WORDS / 4u;
    var c = Chunk();
    c[word % WORDS] = logits[word];
    logits[word] = blend(c, vec4(x), vec4(0u, 1u, 2u, 3u) == vec4(e % 4u))[word % WORDS];
}
