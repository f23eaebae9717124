// As widened.wgsl, word by word.
// Needs: params, elem. Provides: logits, before_stores, store_chunk, store_masked, store_element, which count from the start of
// the window.

@group(0) @binding(1) var<storage, read> logits: array<Word>;
@group(0) @binding(2) var<storage, read_write> gradient: array<f32>;

fn before_stores() {}
fn store_masked(chunk: u32, x: vec4<f32>, keep: vec4<bool>) {
    for (var i = 0u; i < 4u; i++) {
        if keep[i] { gradient[params.gradient_base + 4u * chunk + i] = x[i]; }
    }
}
fn store_chunk(chunk: u32, x: vec4<f32>) { store_masked(chunk, x, vec4(true)); }
fn store_element(element: u32, x: f32) { gradient[params.gradient_base + element] = x; }
