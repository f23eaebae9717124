//! Weights of elements.

use std::ops::Range;

use crate::Layout;

/// Row and class of an element in the order without gaps.
pub(super) fn row_and_class(layout: &Layout, element: usize) -> (usize, usize) {
    let (classes, inner) = (layout.classes() as usize, layout.inner() as usize);
    let (sample, rest) = (element / (classes * inner), element % (classes * inner));
    (sample * inner + rest % inner, rest / inner)
}

/// The product of class and row weight for each element.
pub(super) fn fill(
    out: &mut Vec<f32>,
    elements: Range<usize>,
    layout: &Layout,
    of_class: Option<&[f32]>,
    of_row: Option<&[f32]>,
) {
    out.clear();
    let (classes, inner) = (layout.classes() as usize, layout.inner() as usize);
    let (mut row, mut class) = row_and_class(layout, elements.start);
    out.extend(elements.map(|_| {
        let weight = of_class.map_or(1.0, |w| w[class]) * of_row.map_or(1.0, |w| w[row]);
        // The next element: positions first, then classes, then samples.
        row += 1;
        if row % inner == 0 {
            class += 1;
            if class == classes {
                class = 0;
            } else {
                row -= inner;
            }
        }
        weight
    }));
}
