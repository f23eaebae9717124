// Two chunks are written one after the other.
// Needs: store_chunk of the place. Provides: store_two.

fn store_two(chunks: vec2<u32>, x: mat2x4<f32>) {
    store_chunk(chunks.x, x[0]);
    store_chunk(chunks.y, x[1]);
}
