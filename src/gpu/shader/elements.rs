//! How logits are stored, and where their gradient goes.

use super::bindings::{GRADIENT, LOGITS};
use super::fragment::{Fragment, fragment};
use crate::{DType, Gradient};

/// How an element is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Storage {
    /// float32.
    F32,
    /// float16, native: needs `Features::SHADER_F16`.
    F16,
    /// float16, two to a word.
    F16Packed,
    /// bfloat16, two to a word.
    Bf16,
}

impl Storage {
    /// Every storage.
    pub const ALL: [Self; 4] = [Self::F32, Self::F16, Self::F16Packed, Self::Bf16];

    const fn fragment(self) -> Fragment {
        match self {
            Self::F32 => fragment!("elem/f32.wgsl"),
            Self::F16 => fragment!("elem/f16.wgsl"),
            Self::F16Packed => fragment!("elem/f16_packed.wgsl"),
            Self::Bf16 => fragment!("elem/bf16.wgsl"),
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
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
                // Float32 is wide already.
                if storage != Storage::F32 || place != Place::Widened {
                    all.extend([false, true].map(|words| Self { storage, place, words }));
                }
            }
        }
        all
    }

    pub(super) fn fragments(self) -> [Fragment; 2] {
        let place = match (self.words, self.place) {
            (false, Place::None) => fragment!("place/none.wgsl"),
            (false, Place::Separate) => fragment!("place/separate.wgsl"),
            (false, Place::Widened) => fragment!("place/widened.wgsl"),
            (false, Place::InPlace) => fragment!("place/in_place.wgsl"),
            (true, Place::None) => fragment!("place/words_none.wgsl"),
            (true, Place::Separate) => fragment!("place/words_separate.wgsl"),
            (true, Place::Widened) => fragment!("place/words_widened.wgsl"),
            (true, Place::InPlace) => fragment!("place/words_in_place.wgsl"),
        };
        [self.storage.fragment(), place]
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
