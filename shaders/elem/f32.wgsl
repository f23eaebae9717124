// A chunk of four float32 logits: 16 bytes.
// Provides: Chunk, Word, WORDS, unpack, pack, blend, touches.

alias Chunk = vec4<f32>;
alias Word = f32;   // what can be read or written alone
const WORDS = 4u;   // words of a chunk

fn unpack(chunk: Chunk) -> vec4<f32> { return chunk; }
fn pack(x: vec4<f32>) -> Chunk { return x; }
// x where `keep` holds, and the old chunk elsewhere.
fn blend(old: Chunk, x: vec4<f32>, keep: vec4<bool>) -> Chunk { return select(old, x, keep); }
fn touches(keep: vec4<bool>, word: u32) -> bool { return keep[word]; }
