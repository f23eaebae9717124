// As separate.wgsl, word by word.
// Needs: params, elem. Provides: logits, before_stores, and for place/store_words stored_base, stored_word, store_word.

@group(0) @binding(1) var<storage, read> logits: array<Word>;
@group(0) @binding(2) var<storage, read_write> gradient: array<Word>;

fn before_stores() {}
fn stored_base() -> u32 { return params.gradient_base; }
fn stored_word(i: u32) -> Word { return gradient[i]; }
fn store_word(i: u32, word: Word) { gradient[i] = word; }
