// A chunk of four float32 logits, two to a u64: 16 bytes. A pair of chunks is then one load of four words, where one of u32 or f32
// has at most four words of half the size.
// Needs: 64-bit integers. Provides: Chunk, Word, WORDS, unpack, pack, blend, touches.

alias Chunk = vec2<u64>;
alias Word = u64;   // what can be read or written alone
const WORDS = 2u;   // words of a chunk

fn unpack(chunk: Chunk) -> vec4<f32> {
    let low = bitcast<vec2<f32>>(vec2<u32>(chunk));
    let high = bitcast<vec2<f32>>(vec2<u32>(chunk >> vec2(32u)));
    return vec4(low.x, high.x, low.y, high.y);
}
fn pack(x: vec4<f32>) -> Chunk {
    let bits = bitcast<vec4<u32>>(x);
    return Chunk(bits.xz) | (Chunk(bits.yw) << vec2(32u));
}
// x where `keep` holds, and the old chunk elsewhere.
fn blend(old: Chunk, x: vec4<f32>, keep: vec4<bool>) -> Chunk { return pack(select(unpack(old), x, keep)); }
fn touches(keep: vec4<bool>, word: u32) -> bool { return keep[2u * word] || keep[2u * word + 1u]; }
