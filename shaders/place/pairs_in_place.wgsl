// As in_place.wgsl, with two words a chunk: two chunks that are a pair are written as one, others word by word.
// Needs: params, elem, place/load_pairs. Provides: logits, before_stores, store_two, and for place/store_words stored_base,
// stored_word, store_word.

@group(0) @binding(1) var<storage, read_write> logits: array<Stored>;

// A fast lane must not write over a logit, such as the target's, that a slower one has yet to read.
fn before_stores() { storageBarrier(); }
fn store_two(chunks: vec2<u32>, x: mat2x4<f32>) {
    logits[(params.logits_base / 4u + chunks.x) / 2u] = vec4(pack(x[0]), pack(x[1]));
}
fn stored_base() -> u32 { return params.logits_base; }
fn stored_word(i: u32) -> Word { return logits[i / 4u][i % 4u]; }
fn store_word(i: u32, word: Word) { logits[i / 4u][i % 4u] = word; }
