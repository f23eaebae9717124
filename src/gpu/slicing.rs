//! How long rows are cut into slices: pure, without a device.

use super::window::{self, Window};
use crate::{Error, Layout, Result};

/// Classes of a slice: 32 KiB of float32, which 256 lanes read in two blocks of four chunks each. Their partials combine once a
/// slice; a row of 262,144 classes occupies 32 workgroups.
const SLICE: u32 = 8192;

/// Strides of `Partial` and of `Kept` in `shaders/schedule/slices.wgsl` are at most this, whatever the loss.
const PARTIAL_BYTES: u64 = 192;
const KEPT_BYTES: u64 = 128;

/// The first reading of a row and the second.
const READINGS: u64 = 2;

/// Elements of a window's rows are counted in 32 bits, to the end of the last unit.
const COUNTABLE: u64 = u32::MAX as u64 - 8;

/// Each row beyond a binding takes dispatches of its own. So many of them are 8 TiB at WebGPU's default limit.
const MOST_ROWS: u32 = 1 << 16;

/// How rows are cut into slices. Classes alone decide, and the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slicing {
    /// Classes of a slice: whole units.
    pub classes: u32,
    /// Logits that a lane loads at once.
    pub unit: u32,
    /// Slices of a row.
    pub count: u32,
    /// Slices that a binding holds; none where rows are not larger than that.
    pub bound: Option<u32>,
}

/// Slices of a window that one dispatch takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Part {
    /// The first, counted over all rows of the window, and how many.
    pub first_slice: u32,
    pub count: u32,
    /// Where they are, if they are not all of the window.
    pub within: Option<Within>,
}

/// A part of a row that is bound: from the start of the window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Within {
    /// Chunks of logits.
    pub first_chunk: u32,
    pub chunks: u32,
    /// Entries of dense tensors.
    pub first_entry: u64,
    pub entries: u32,
    /// Class of the first of them.
    pub first_class: u32,
}

impl Slicing {
    /// Slices of `forced` classes, or of as many as are planned, for rows of which `step` are whole units. A logit's widest
    /// tensor has `element_bytes`, and a binding room for `room` bytes.
    ///
    /// # Errors
    /// [`Error::TooLarge`] where a slice exceeds a binding; [`Error::Unsupported`] for a forced slice that is not of whole units.
    pub(crate) fn new(
        layout: &Layout,
        step: u32,
        unit: u32,
        element_bytes: u64,
        room: u64,
        forced: Option<u32>,
    ) -> Result<Self> {
        let classes = forced.unwrap_or(SLICE);
        if classes == 0 || !classes.is_multiple_of(unit) {
            return Err(Error::Unsupported {
                variant: format!("slices of {classes} classes"),
                needs: format!("a multiple of {unit} classes"),
            });
        }
        let step_elements = u64::from(step) * u64::from(layout.outer_stride());
        // The edges go with the first and the last slice, and a slice ends where its last unit does.
        let edges = 2 * u64::from(unit);
        let fitting = (room / element_bytes.max(1)).saturating_sub(edges) / u64::from(classes);
        let bound = (element_bytes * step_elements > room).then(|| u32::try_from(fitting).unwrap_or(u32::MAX));
        if bound == Some(0) {
            return too_large(
                "a slice of a row in bytes",
                element_bytes * u64::from(classes),
                room,
                "max_storage_buffer_binding_size",
            );
        }
        if bound.is_some() && step_elements > COUNTABLE {
            return too_large("a group of rows in logits", step_elements, COUNTABLE, "a 32-bit index");
        }
        if bound.is_some() && layout.outer() > MOST_ROWS {
            return too_large(
                "rows beyond a binding",
                layout.outer().into(),
                MOST_ROWS.into(),
                "the dispatches of a call",
            );
        }
        Ok(Self { classes, unit, count: layout.classes().div_ceil(classes), bound })
    }

    /// Windows over `count` rows, at multiples of the first of `steps` that fits: as for rows that are not cut, or of the last step
    /// each where that exceeds a binding. What slices come to has a binding of its own, of at most `scratch_binding` bytes.
    ///
    /// # Errors
    /// [`Error::TooLarge`] where it exceeds that.
    pub(crate) fn cut(
        &self,
        count: u32,
        steps: &[u32],
        row_bytes: u64,
        max_binding: u64,
        scratch_binding: u64,
        alignment: u32,
    ) -> Result<Vec<Window>> {
        let step = steps.last().map_or(1, |&step| step.max(1));
        let windows = if self.bound.is_none() {
            window::cut(count, steps, row_bytes, max_binding, alignment)?
        } else {
            let firsts = (0..count).step_by(step as usize);
            firsts.map(|first| Window { first, count: step.min(count - first) }).collect()
        };
        let longest = windows.first().map_or(0, |window| window.count);
        let (kept, slices) = self.scratch_bytes(longest);
        if kept.max(slices) <= scratch_binding {
            return Ok(windows);
        }
        let (kept, slices) = self.scratch_bytes(1);
        window::cut(count, steps, kept.max(slices), scratch_binding, alignment)
    }

    /// What the dispatches over a window take.
    pub(crate) fn parts(&self, layout: &Layout, window: Window) -> Vec<Part> {
        let Some(bound) = self.bound else {
            return vec![Part { first_slice: 0, count: window.count * self.count, within: None }];
        };
        let mut parts = Vec::new();
        for row in 0..window.count {
            let begin = row * layout.outer_stride();
            let end = begin + layout.classes();
            // Interior units of the row begin here; the first slice has the edges in front of them too.
            let chunks_of = |units: u32| units * (self.unit / 4);
            let interior = chunks_of(begin.div_ceil(self.unit));
            let chunk_of = |slice: u32| interior.saturating_add(slice.saturating_mul(self.classes / 4));
            let all = chunks_of(end.div_ceil(self.unit));
            for slice in (0..self.count).step_by(bound as usize) {
                let count = bound.min(self.count - slice);
                let first_chunk =
                    if slice == 0 { chunks_of(begin / self.unit) } else { chunk_of(slice).min(all - chunks_of(1)) };
                let behind = if slice + count == self.count { all } else { chunk_of(slice + count).min(all) };
                let behind = behind.max(first_chunk + chunks_of(1));
                let first_class = (4 * first_chunk).saturating_sub(begin);
                let entries = (4 * behind).min(end) - begin - first_class;
                parts.push(Part {
                    first_slice: row * self.count + slice,
                    count,
                    within: Some(Within {
                        first_chunk,
                        chunks: behind - first_chunk,
                        first_entry: u64::from(row) * u64::from(layout.classes()) + u64::from(first_class),
                        // The last chunk may have the first classes of the rows behind, which are written with it.
                        entries: entries + 3,
                        first_class,
                    }),
                });
            }
        }
        parts
    }

    /// Bytes of what is kept of so many rows, and of their slices.
    pub(crate) fn scratch_bytes(&self, rows: u32) -> (u64, u64) {
        let rows = u64::from(rows);
        (KEPT_BYTES * rows, READINGS * PARTIAL_BYTES * rows * u64::from(self.count))
    }
}

fn too_large<T>(what: &'static str, size: u64, limit: u64, limited_by: &'static str) -> Result<T> {
    let remedy = "request the adapter's own limits, evaluate the batch in parts or use the CPU engine";
    Err(Error::TooLarge { what, size, limit, limited_by, remedy })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Shape;
    use crate::gpu::{Elements, Place, RowSchedule, Shader, Storage};

    const PLAIN: Elements = Elements { storage: Storage::F32, place: Place::Separate, words: false };

    /// The scratch has room for what the shaders of every loss keep of a row and of a slice.
    #[test]
    fn strides_are_bounded() {
        let mut found = 0;
        for shader in Shader::all() {
            if !matches!(shader, Shader::Rows { schedule: RowSchedule::Slices, elements, .. } if elements == PLAIN) {
                continue;
            }
            let module = naga::front::wgsl::parse_str(&shader.source()).expect("WGSL that parses");
            for (name, most) in [("kept", KEPT_BYTES), ("partials", PARTIAL_BYTES)] {
                let (_, variable) = module
                    .global_variables
                    .iter()
                    .find(|(_, variable)| variable.name.as_deref() == Some(name))
                    .expect("a buffer of slices");
                let naga::TypeInner::Array { stride, .. } = module.types[variable.ty].inner else {
                    panic!("{name} is no array")
                };
                assert!(u64::from(stride) <= most, "{name} of {}: {stride} bytes", shader.label());
                found += 1;
            }
        }
        assert_eq!(found, 16, "eight fragments, two buffers each");
    }

    /// Parts take every slice once, stay within a binding, and have each row's chunks with their neighbours' shares of them.
    #[test]
    fn parts_cover_a_window() {
        let contiguous = |rows, classes| Layout::from(Shape::new(rows, classes));
        let strided = Layout::strided(Shape::new(2, 402), 405).expect("a small layout");
        for (layout, step, unit) in [
            (contiguous(1, 512), 1, 4),
            (contiguous(4, 403), 4, 4),
            (contiguous(8, 403), 8, 8),
            (strided, 4, 4),
            (strided, 8, 8),
            (contiguous(3, 65), 4, 4),
            (contiguous(3, 65), 8, 8),
        ] {
            for room in [320, 512, 1000] {
                let slicing = Slicing::new(&layout, step, unit, 4, room, Some(64)).expect("slices that fit");
                let window = Window { first: 0, count: layout.outer() };
                let parts = slicing.parts(&layout, window);
                let mut next = 0;
                for part in &parts {
                    assert_eq!(part.first_slice, next, "{layout:?}, {room} bytes");
                    next += part.count;
                    let within = part.within.expect("less than the window");
                    assert!(16 * u64::from(within.chunks) <= room, "{layout:?}, {room} bytes: {part:?}");
                    let row = part.first_slice / slicing.count;
                    let (begin, end) = (row * layout.outer_stride(), row * layout.outer_stride() + layout.classes());
                    let (first, behind) = (within.first_chunk, within.first_chunk + within.chunks);
                    assert_eq!((4 * first % unit, 4 * behind % unit), (0, 0), "{layout:?}: {part:?}");
                    assert_eq!(4 * first <= begin, part.first_slice % slicing.count == 0, "{layout:?}: {part:?}");
                    assert!(4 * behind >= end || next % slicing.count != 0, "{layout:?}: {part:?}");
                }
                assert_eq!(next, layout.outer() * slicing.count);
            }
        }
    }
}
