// A chunk of four 16-bit logits, two to a u32: 8 bytes. What their format is, another fragment says.
// Needs: pack of the format. Provides: Chunk, Word, WORDS, blend, touches.

alias Chunk = vec2<u32>;
alias Word = u32;   // what can be read or written alone
const WORDS = 2u;   // words of a chunk

// x where `keep` holds, and the old chunk elsewhere.
fn blend(old: Chunk, x: vec4<f32>, keep: vec4<bool>) -> Chunk {
    let mask = select(vec4(0u), vec4(0xffffu, 0xffff0000u, 0xffffu, 0xffff0000u), keep);
    let words = vec2(mask.x | mask.y, mask.z | mask.w);
    return (old & ~words) | (pack(x) & words);
}
fn touches(keep: vec4<bool>, word: u32) -> bool { return keep[2u * word] || keep[2u * word + 1u]; }
