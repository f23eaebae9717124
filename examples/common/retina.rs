//! A photograph of a retina and where its blood vessels are, pixel by pixel. `examples/data/README.md` says where both
//! come from.

use std::ops::Range;

use image::{DynamicImage, GenericImageView, ImageFormat, ImageResult};

use super::dataset::Dataset;
use super::split::Split;

/// Embedded, so that an example runs from any folder.
const PHOTOGRAPH: &[u8] = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/data/retina.png"));
const VESSELS: &[u8] = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/data/retina-vessels.png"));

/// Rows and columns of a window on each side of its pixel: about twice as far as the widest vessel.
const REACH: usize = 7;

/// Features of a pixel: its colour, and its surroundings.
pub const FEATURES: usize = 6;

/// Class of a tissue pixel.
pub const TISSUE: i32 = 0;
/// Class of a vessel pixel.
pub const VESSEL: i32 = 1;

const RED: usize = 0;
const GREEN: usize = 1;

/// Why two images are no labelled photograph.
#[derive(Debug, thiserror::Error)]
pub enum RetinaError {
    /// An image is not a PNG.
    #[error("the PNG cannot be read: {0}")]
    Png(#[from] image::ImageError),

    /// The images differ in size.
    #[error("the photograph has {photograph:?} pixels, but the mask has {mask:?}; they must cover each other")]
    Size {
        /// Width and height of the photograph.
        photograph: (u32, u32),
        /// Width and height of the mask.
        mask: (u32, u32),
    },

    /// A pixel of the mask has no meaning.
    #[error("pixel {index} of the mask is {value}, but it must be 0 (outside), 128 (tissue) or 255 (vessel)")]
    Mask {
        /// First offending pixel, counted from 0, row by row.
        index: usize,
        /// Its value.
        value: u8,
    },
}

/// A photograph, and the class of each of its pixels.
#[derive(Debug, Clone, PartialEq)]
pub struct Retina {
    /// Pixels in a row.
    pub width: usize,
    /// Rows of pixels.
    pub height: usize,
    /// Red, green and blue, 8 bits each, (height, width, 3) row-major.
    pub rgb: Vec<u8>,
    /// [`TISSUE`], [`VESSEL`], or none outside of the field of view, (height, width) row-major.
    pub classes: Vec<Option<i32>>,
}

impl Retina {
    /// The photograph: 282 x 282 pixels, 54,785 of them in the field of view.
    ///
    /// # Errors
    /// As [`Retina::decode`].
    pub fn load() -> Result<Self, RetinaError> {
        Self::decode(PHOTOGRAPH, VESSELS)
    }

    /// Decodes two PNG images of the same size, the photograph and its mask.
    ///
    /// # Errors
    /// [`RetinaError`] says what does not fit.
    pub fn decode(photograph: &[u8], mask: &[u8]) -> Result<Self, RetinaError> {
        let (photograph, mask) = (png(photograph)?, png(mask)?);
        if photograph.dimensions() != mask.dimensions() {
            return Err(RetinaError::Size { photograph: photograph.dimensions(), mask: mask.dimensions() });
        }
        let class = |(index, value)| match value {
            0 => Ok(None),
            128 => Ok(Some(TISSUE)),
            255 => Ok(Some(VESSEL)),
            _ => Err(RetinaError::Mask { index, value }),
        };
        Ok(Self {
            width: photograph.width() as usize,
            height: photograph.height() as usize,
            rgb: photograph.to_rgb8().into_raw(),
            classes: mask.to_luma8().into_raw().into_iter().enumerate().map(class).collect::<Result<_, _>>()?,
        })
    }

    /// Splits the field of view into its upper half, to learn from, and its lower half, to judge by.
    ///
    /// Neighbouring pixels look alike, so pixels drawn at random would be judged by their own neighbours.
    #[must_use]
    pub fn split(&self) -> Split {
        let middle = self.height / 2 * self.width;
        Split { train: self.pixels(0..middle), test: self.pixels(middle..self.classes.len()) }
    }

    /// The pixels of a range that lie in the field of view, in order.
    fn pixels(&self, range: Range<usize>) -> Dataset {
        let sums = [RED, GREEN].map(|channel| Sums::of(self, channel));
        let (mut features, mut labels) = (Vec::new(), Vec::new());
        for pixel in range {
            if let Some(class) = self.classes[pixel] {
                features.extend(self.features(pixel, &sums));
                labels.push(class);
            }
        }
        Dataset { rows: labels.len(), columns: FEATURES, classes: 2, features, labels }
    }

    /// Red, green and blue of a pixel, then of the window around it the mean of red, the mean of green and the standard
    /// deviation of green, in which vessels stand out most. Nothing tells where in the photograph the pixel lies.
    fn features(&self, pixel: usize, [red, green]: &[Sums; 2]) -> [f32; FEATURES] {
        let window = Window::around(pixel, self.width, self.height);
        let [r, g, b] = std::array::from_fn(|channel| f32::from(self.rgb[3 * pixel + channel]));
        let ((mean_red, _), (mean_green, deviation)) = (red.statistics(&window), green.statistics(&window));
        [r, g, b, mean_red as f32, mean_green as f32, deviation as f32]
    }
}

fn png(bytes: &[u8]) -> ImageResult<DynamicImage> {
    image::load_from_memory_with_format(bytes, ImageFormat::Png)
}

/// Rows and columns around a pixel, as far as the photograph reaches.
struct Window {
    rows: Range<usize>,
    columns: Range<usize>,
}

impl Window {
    fn around(pixel: usize, width: usize, height: usize) -> Self {
        let range = |centre: usize, end: usize| centre.saturating_sub(REACH)..(centre + REACH + 1).min(end);
        Self { rows: range(pixel / width, height), columns: range(pixel % width, width) }
    }
}

/// Summed-area tables of a channel and of its squares, in integers and so exact: any window costs four look-ups.
struct Sums {
    /// Entry `(r, c)` sums the pixels of the rows above `r` and the columns left of `c`: one row and column more than the
    /// photograph has.
    tables: Vec<[u64; 2]>,
    stride: usize,
}

impl Sums {
    fn of(retina: &Retina, channel: usize) -> Self {
        let stride = retina.width + 1;
        let mut tables = vec![[0; 2]; stride * (retina.height + 1)];
        for (row, pixels) in retina.rgb.chunks_exact(3 * retina.width).enumerate() {
            let mut sums = [0; 2];
            for (column, pixel) in pixels.chunks_exact(3).enumerate() {
                let value = u64::from(pixel[channel]);
                sums = add(sums, [value, value * value]);
                tables[(row + 1) * stride + column + 1] = add(sums, tables[row * stride + column + 1]);
            }
        }
        Self { tables, stride }
    }

    /// Mean and population standard deviation of a window's pixels.
    fn statistics(&self, Window { rows, columns }: &Window) -> (f64, f64) {
        let at = |row, column| self.tables[row * self.stride + column];
        let inside = add(at(rows.end, columns.end), at(rows.start, columns.start));
        let outside = add(at(rows.start, columns.end), at(rows.end, columns.start));
        let count = (rows.len() * columns.len()) as u64;
        let [sum, squares] = std::array::from_fn(|i| inside[i] - outside[i]);
        let variance = (count * squares - sum * sum) as f64 / (count * count) as f64;
        (sum as f64 / count as f64, variance.sqrt())
    }
}

fn add(a: [u64; 2], b: [u64; 2]) -> [u64; 2] {
    std::array::from_fn(|i| a[i] + b[i])
}
