// float16 logits, converted by the device: for those that have 16-bit floats of their own, Features::SHADER_F16.
// Needs: elem/halves, params. Provides: unpack, pack.

fn unpack(chunk: Chunk) -> vec4<f32> { return vec4(unpack2x16float(chunk.x), unpack2x16float(chunk.y)); }
fn pack(x: vec4<f32>) -> Chunk {
    let rounded = round_to_f16(x);
    return Chunk(pack2x16float(rounded.xy), pack2x16float(rounded.zw));
}

// The nearest float16, ties to even, as a float32: WGSL leaves the direction of the conversion open, but a number that
// float16 holds converts to itself. Beyond the largest it is an infinity.
fn round_to_f16(x: vec4<f32>) -> vec4<f32> {
    let bits = bitcast<vec4<u32>>(x);
    let normal = (bits + vec4(0xfffu) + ((bits >> vec4(13u)) & vec4(1u))) & vec4(0xffffe000u);
    // Below 2^-14 float16 has steps of 2^-24.
    let subnormal = round(x * 16777216.0) * 5.9604645e-8;
    let rounded = select(bitcast<vec4<f32>>(normal), subnormal, abs(x) < vec4(6.1035156e-5));
    let overflows = (bits & vec4(0x7fffffffu)) >= vec4(0x477ff000u);
    let infinity = select(vec4(-params.minus_infinity), vec4(params.minus_infinity), x < vec4(0.0));
    let is_nan = (bits & vec4(0x7fffffffu)) > vec4(0x7f800000u);
    return select(select(rounded, infinity, overflows), x, is_nan);
}
