// As in_place.wgsl, word by word.
// Needs: params, elem. Provides: logits, before_stores, and for place/store_words stored_base, stored_word, store_word.

@group(0) @binding(1) var<storage, read_write> logits: array<Word>;

// A fast lane must not write over a logit, such as the target's, that a slower one has yet to read.
fn before_stores() { storageBarrier(); }
fn stored_base() -> u32 { return params.logits_base; }
fn stored_word(i: u32) -> Word { return logits[i]; }
fn store_word(i: u32, word: Word) { logits[i] = word; }
