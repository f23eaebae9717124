// Logits are read from one buffer, the gradient is written to another, in float32.
// Needs: params, elem, Stored of place/load_*. Provides: logits, before_stores, store_chunk, store_masked, store_element, which
// count from the start of the window.

@group(0) @binding(1) var<storage, read> logits: array<Stored>;
@group(0) @binding(2) var<storage, read_write> gradient: array<vec4<f32>>;

fn before_stores() {}
fn store_chunk(chunk: u32, x: vec4<f32>) { gradient[params.gradient_base / 4u + chunk] = x; }
// What `keep` leaves out may belong to nobody: it keeps its value.
fn store_masked(chunk: u32, x: vec4<f32>, keep: vec4<bool>) {
    let i = params.gradient_base / 4u + chunk;
    gradient[i] = select(gradient[i], x, keep);
}
fn store_element(element: u32, x: f32) {
    store_masked(element / 4u, vec4(x), vec4(0u, 1u, 2u, 3u) == vec4(element % 4u));
}
