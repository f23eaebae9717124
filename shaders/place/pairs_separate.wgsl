// As separate.wgsl, with two words a chunk: two chunks that are a pair are written as one, others word by word.
// Needs: params, elem, place/load_pairs. Provides: logits, before_stores, store_two, and for place/store_words stored_base,
// stored_word, store_word.

@group(0) @binding(1) var<storage, read> logits: array<Stored>;
@group(0) @binding(2) var<storage, read_write> gradient: array<Stored>;

fn before_stores() {}
fn store_two(chunks: vec2<u32>, x: mat2x4<f32>) {
    gradient[(params.gradient_base / 4u + chunks.x) / 2u] = vec4(pack(x[0]), pack(x[1]));
}
fn stored_base() -> u32 { return params.gradient_base; }
fn stored_word(i: u32) -> Word { return gradient[i / 4u][i % 4u]; }
fn store_word(i: u32, word: Word) { gradient[i / 4u][i % 4u] = word; }
