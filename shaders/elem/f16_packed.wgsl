// float16 logits, converted by hand. Runs everywhere.
// Needs: elem/halves. Provides: unpack, pack.

// By hand, as the built-in may flush subnormals, which is what small gradients are: the bits of a float16 are those of a
// float32 but for the bias of the exponent, and a subnormal counts steps of 2^-24.
fn unpack(chunk: Chunk) -> vec4<f32> {
    let half = vec4(chunk.x & 0xffffu, chunk.x >> 16u, chunk.y & 0xffffu, chunk.y >> 16u);
    let magnitude = half & vec4(0x7fffu);
    let special = magnitude >= vec4(0x7c00u);
    let bits = (magnitude << vec4(13u)) + select(vec4(0x38000000u), vec4(0x70000000u), special);
    let subnormal = vec4<f32>(magnitude) * 5.9604645e-8;
    let x = select(bitcast<vec4<f32>>(bits), subnormal, magnitude < vec4(0x400u));
    return bitcast<vec4<f32>>(bitcast<vec4<u32>>(x) | ((half & vec4(0x8000u)) << vec4(16u)));
}

// To nearest, ties to even; beyond the largest it is an infinity.
fn pack(x: vec4<f32>) -> Chunk {
    let bits = bitcast<vec4<u32>>(x);
    let magnitude = bits & vec4(0x7fffffffu);
    let normal = ((magnitude + vec4(0xfffu) + ((magnitude >> vec4(13u)) & vec4(1u))) >> vec4(13u)) - vec4(0x1c000u);
    let subnormal = vec4<u32>(round(min(abs(x), vec4(1.0)) * 16777216.0));
    var half = select(normal, subnormal, magnitude < vec4(0x38800000u));
    half = select(half, vec4(0x7c00u), magnitude >= vec4(0x477ff000u));
    half = select(half, vec4(0x7e00u), magnitude > vec4(0x7f800000u));
    half |= (bits >> vec4(16u)) & vec4(0x8000u);
    return Chunk(half.x | (half.y << 16u), half.z | (half.w << 16u));
}
