// The last rows of a float32 batch that does not end on a chunk boundary: element by element, so that nothing is
// touched beyond the caller's last logit. Provides: load_chunk, store_chunk, store_partial,
// before_stores.

@group(0) @binding(1) var<storage, read> logits: array<f32>;
@group(0) @binding(2) var<storage, read_write> gradient: array<f32>;

fn load_chunk(chunk: u32) -> vec4<f32> {
    let i = min(4u * chunk + vec4(0u, 1u, 2u, 3u), vec4(arrayLength(&logits) - 1u));
    return vec4(logits[i.x], logits[i.y], logits[i.z], logits[i.w]);
}
fn before_stores() {}
fn store_partial(chunk: u32, x: vec4<f32>, count: u32) {
    for (var i = 0u; i < count; i++) { gradient[4u * chunk + i] = x[i]; }
}
fn store_chunk(chunk: u32, x: vec4<f32>) { store_partial(chunk, x, 4u); }
