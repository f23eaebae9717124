// A chunk of four bfloat16 logits, two to a u32: 8 bytes.
// Provides: Chunk, Word, WORDS, unpack, pack, blend, touches.

alias Chunk = vec2<u32>;
alias Word = u32;   // what can be read or written alone
const WORDS = 2u;   // words of a chunk

// A bfloat16 is the upper half of a float32.
fn unpack(chunk: Chunk) -> vec4<f32> {
    return bitcast<vec4<f32>>(
        vec4(chunk.x << 16u, chunk.x & 0xffff0000u, chunk.y << 16u, chunk.y & 0xffff0000u),
    );
}

// To nearest, ties to even; NaN stays NaN.
fn pack(x: vec4<f32>) -> Chunk {
    let bits = bitcast<vec4<u32>>(x);
    let rounded = (bits + vec4(0x7fffu) + ((bits >> vec4(16u)) & vec4(1u))) >> vec4(16u);
    let is_nan = (bits & vec4(0x7fffffffu)) > vec4(0x7f800000u);
    let half = select(rounded, vec4(0x7fc0u), is_nan);
    return Chunk(half.x | (half.y << 16u), half.z | (half.w << 16u));
}

// x where `keep` holds, and the old chunk elsewhere.
fn blend(old: Chunk, x: vec4<f32>, keep: vec4<bool>) -> Chunk {
    let mask = select(vec4(0u), vec4(0xffffu, 0xffff0000u, 0xffffu, 0xffff0000u), keep);
    let words = vec2(mask.x | mask.y, mask.z | mask.w);
    return (old & ~words) | (pack(x) & words);
}
fn touches(keep: vec4<bool>, word: u32) -> bool { return keep[2u * word] || keep[2u * word + 1u]; }
