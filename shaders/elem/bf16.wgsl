// bfloat16 logits.
// Needs: elem/halves. Provides: unpack, pack.

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
