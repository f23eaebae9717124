//! How logits are stored, and where their gradient goes.

use super::bindings::{GRADIENT, LOGITS};
use super::fragment::{Fragment, fragment};
use super::schedule::RowSchedule;
use crate::{DType, Gradient};

/// How an element is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Storage {
    /// float32.
    F32,
    /// float32, two to a 64-bit word: needs `Features::SHADER_INT64`.
    F32Wide,
    /// float16, two to a word, converted by the device: wants `Features::SHADER_F16`.
    F16,
    /// float16, two to a word, converted by hand.
    F16Packed,
    /// bfloat16, two to a word.
    Bf16,
}

impl Storage {
    /// Every storage.
    pub const ALL: [Self; 5] = [Self::F32, Self::F32Wide, Self::F16, Self::F16Packed, Self::Bf16];

    const fn fragments(self) -> &'static [Fragment] {
        const HALVES: Fragment = fragment!("elem/halves.wgsl");
        match self {
            Self::F32 => &[fragment!("elem/f32.wgsl")],
            Self::F32Wide => &[fragment!("elem/f32_wide.wgsl")],
            Self::F16 => &[HALVES, fragment!("elem/f16.wgsl")],
            Self::F16Packed => &[HALVES, fragment!("elem/f16_packed.wgsl")],
            Self::Bf16 => &[HALVES, fragment!("elem/bf16.wgsl")],
        }
    }

    /// Whether logits have 32 bits.
    pub(crate) const fn is_f32(self) -> bool {
        matches!(self, Self::F32 | Self::F32Wide)
    }

    const fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F32Wide => "f32_wide",
            Self::F16 => "f16",
            Self::F16Packed => "f16_packed",
            Self::Bf16 => "bf16",
        }
    }
}

/// Where the gradient goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Place {
    /// Nowhere: forward only.
    None,
    /// Into a buffer of its own, stored as the logits are.
    Separate,
    /// Into a buffer of its own, as float32.
    Widened,
    /// Over the logits.
    InPlace,
}

/// How the logits are bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Elements {
    /// How an element is stored.
    pub storage: Storage,
    /// Where the gradient goes.
    pub place: Place,
    /// Word by word: for the last rows of a batch that does not end on a chunk boundary, and for samples whose classes do not
    /// start on one.
    pub words: bool,
}

impl Elements {
    /// How logits of `dtype` are bound for `gradient`.
    pub(crate) fn new(dtype: DType, native_f16: bool, gradient: Gradient) -> Self {
        let storage = match dtype {
            DType::F32 => Storage::F32,
            DType::F16 if native_f16 => Storage::F16,
            DType::F16 => Storage::F16Packed,
            DType::Bf16 => Storage::Bf16,
        };
        let place = match gradient {
            Gradient::No => Place::None,
            Gradient::Widened if storage != Storage::F32 => Place::Widened,
            Gradient::Separate | Gradient::Widened => Place::Separate,
            Gradient::InPlace => Place::InPlace,
        };
        Self { storage, place, words: false }
    }

    /// Every way to bind the logits.
    #[must_use]
    pub fn all() -> Vec<Self> {
        let places = [Place::None, Place::Separate, Place::Widened, Place::InPlace];
        let mut all = Vec::new();
        for storage in Storage::ALL {
            for place in places {
                // There is nothing to widen float32 to.
                if !storage.is_f32() || place != Place::Widened {
                    all.extend([false, true].map(|words| Self { storage, place, words }));
                }
            }
        }
        all
    }

    /// Whether a lane takes two chunks at once: of 16 bits where lanes share rows, and always where a chunk is two 64-bit words. A
    /// short row has few pairs, and a cache line two such rows: of 16 bits, what one load leaves the next finds there.
    pub(super) fn in_pairs(self, schedule: RowSchedule) -> bool {
        match self.storage {
            Storage::F32 => false,
            Storage::F32Wide => true,
            Storage::F16 | Storage::F16Packed | Storage::Bf16 => schedule.is_shared(),
        }
    }

    /// What reads the logits and writes their gradient: by words, in chunks, or in pairs of chunks.
    pub(super) fn fragments(self, schedule: RowSchedule) -> Vec<Fragment> {
        const BY_WORDS: Fragment = fragment!("place/store_words.wgsl");
        const BY_CHUNKS: Fragment = fragment!("place/store_chunks.wgsl");
        let in_pairs = self.in_pairs(schedule);
        let place: &[Fragment] = match (self.words, self.place, in_pairs) {
            (false, Place::None, _) => &[fragment!("place/none.wgsl"), BY_CHUNKS],
            (false, Place::Widened, _) => &[fragment!("place/widened.wgsl"), BY_CHUNKS],
            (false, Place::Separate, false) => &[fragment!("place/separate.wgsl"), BY_CHUNKS],
            (false, Place::InPlace, false) => &[fragment!("place/in_place.wgsl"), BY_CHUNKS],
            (false, Place::Separate, true) => &[fragment!("place/pairs_separate.wgsl"), BY_WORDS],
            (false, Place::InPlace, true) => &[fragment!("place/pairs_in_place.wgsl"), BY_WORDS],
            (true, Place::None, _) => &[fragment!("place/words_none.wgsl"), BY_CHUNKS],
            (true, Place::Widened, _) => &[fragment!("place/words_widened.wgsl"), BY_CHUNKS],
            (true, Place::Separate, _) => &[fragment!("place/words_separate.wgsl"), BY_WORDS, BY_CHUNKS],
            (true, Place::InPlace, _) => &[fragment!("place/words_in_place.wgsl"), BY_WORDS, BY_CHUNKS],
        };
        let load = match (self.words, in_pairs) {
            (true, _) => fragment!("place/load_words.wgsl"),
            (false, true) => fragment!("place/load_pairs.wgsl"),
            (false, false) => fragment!("place/load_chunks.wgsl"),
        };
        // A batch that ends in the middle of a chunk may end in the middle of a 64-bit word.
        let storage = if self.words && self.storage.is_f32() { Storage::F32 } else { self.storage };
        [storage.fragments(), &[load], place].concat()
    }

    pub(super) fn label(self) -> String {
        let words = if self.words { "-words" } else { "" };
        let place = match self.place {
            Place::None => "forward",
            Place::Separate => "separate",
            Place::Widened => "widened",
            Place::InPlace => "in_place",
        };
        format!("{}{words}/{place}", self.storage.name())
    }

    /// Logits, and the gradient if it has a buffer of its own: (binding, read only).
    pub(super) fn bindings(self) -> Vec<(u32, bool)> {
        match self.place {
            Place::None => vec![(LOGITS, true)],
            Place::Separate | Place::Widened => vec![(LOGITS, true), (GRADIENT, false)],
            Place::InPlace => vec![(LOGITS, false)],
        }
    }
}
