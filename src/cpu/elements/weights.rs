//! Weights of elements.

use std::ops::Range;

use crate::Layout;

/// Row and class of an element in the order without gaps.
pub(super) fn row_and_class(layout: &Layout, element: usize) -> (usize, usize) {
    let (classes, inner) = (layout.classes() as usize, layout.inner() as usize);
    let (sample, rest) = (element / (classes * inner), element % (classes * inner));
    (sample * inner + rest % inner, rest / inner)
}

/// Class weights times row weights, element by element.
#[derive(Debug, Clone, Copy)]
pub(super) struct Weights<'a> {
    layout: Layout,
    of_class: Option<&'a [f32]>,
    of_row: Option<&'a [f32]>,
}

impl<'a> Weights<'a> {
    /// None where every weight is 1.
    pub(super) fn new(layout: Layout, of_class: Option<&'a [f32]>, of_row: Option<&'a [f32]>) -> Option<Self> {
        (of_class.is_some() || of_row.is_some()).then_some(Self { layout, of_class, of_row })
    }

    /// Of a range of elements in the order without gaps.
    ///
    /// Such a range is made of runs of classes of a row, or of positions of a class: each is a copy, times one number.
    #[inline(always)]
    pub(super) fn fill(&self, out: &mut Vec<f32>, elements: Range<usize>) {
        out.clear();
        let (classes, inner) = (self.layout.classes() as usize, self.layout.inner() as usize);
        let (mut row, mut class) = row_and_class(&self.layout, elements.start);
        let mut left = elements.len();
        while left > 0 {
            let run = if inner == 1 { classes - class } else { inner - row % inner }.min(left);
            left -= run;
            let (along, at, across, one) = if inner == 1 {
                (self.of_class, class, self.of_row, row)
            } else {
                (self.of_row, row, self.of_class, class)
            };
            let factor = across.map_or(1.0, |weights| weights[one]);
            match along {
                Some(weights) => out.extend(weights[at..at + run].iter().map(|weight| weight * factor)),
                None => out.resize(out.len() + run, factor),
            }
            // The next run is of the next row, or of the next class, after whose last come the next sample's positions.
            if inner == 1 {
                (row, class) = (row + 1, 0);
            } else {
                class += 1;
                row -= row % inner;
                if class == classes {
                    (row, class) = (row + inner, 0);
                }
            }
        }
    }
}
