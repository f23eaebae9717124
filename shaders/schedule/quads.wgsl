// Four neighbouring positions of a sample, the unit of work of a lane where a lane owns positions. Neighbouring lanes read
// neighbouring positions, so loads are coalesced.
//
// Needs: params, place. Provides: Quad, quads_of_sample, quad_of, load_positions, store_positions, is_mine.

override ALIGNED: bool = true;  // every class of a sample starts on a chunk boundary
// 16-bit elements that share a word with another lane's: lanes are then dispatched in three rounds, none of which has two
// lanes at one word. 0 where there is no such thing.
override ROUNDS: bool = false;

struct Quad {
    row: u32,      // of the first position
    element: u32,  // of its class 0
    count: u32,    // positions, up to four; 0 for a lane without work
}

fn quads_of_sample() -> u32 { return (params.inner + 3u) / 4u; }

// Quads are counted from the start of the window, sample by sample.
fn quad_of(id: u32) -> Quad {
    let quads = quads_of_sample();
    let sample = id / quads;
    let position = 4u * (id % quads);
    let row = sample * params.inner + position;
    if row >= params.rows { return Quad(0u, 0u, 0u); }
    return Quad(row, sample * params.outer_stride + position, min(4u, params.inner - position));
}

// Four positions of a class; where there are fewer, the last one again.
fn load_positions(q: Quad, class_id: u32) -> vec4<f32> {
    let e = q.element + class_id * params.inner;
    if ALIGNED { return load_chunk(e / 4u); }
    let i = e + min(vec4(0u, 1u, 2u, 3u), vec4(q.count - 1u));
    return vec4(load_element(i.x), load_element(i.y), load_element(i.z), load_element(i.w));
}

// Of a lane with work.
fn store_positions(q: Quad, class_id: u32, x: vec4<f32>) {
    if class_id >= params.classes { return; }
    let e = q.element + class_id * params.inner;
    if ALIGNED {
        store_chunk(e / 4u, x);
        return;
    }
    // A loop would count among those that llvmpipe ends.
    store_element(e, x.x);
    if q.count > 1u { store_element(e + 1u, x.y); }
    if q.count > 2u { store_element(e + 2u, x.z); }
    if q.count > 3u { store_element(e + 3u, x.w); }
}

// Neighbours alternate, and the last lane of a sample, which may meet the next sample's first, comes by itself. Where samples
// have one lane each, samples alternate.
fn round_of(id: u32) -> u32 {
    let quads = quads_of_sample();
    if quads == 1u { return id % 2u; }
    return select(id % quads % 2u, 2u, id % quads == quads - 1u);
}

fn is_mine(q: Quad, id: u32) -> bool { return q.count > 0u && (!ROUNDS || round_of(id) == params.count); }
