//! Images side by side.

use anyhow::{Result, ensure};
use plotters::element::{Drawable, PointCollection};
use plotters::prelude::*;
use plotters_backend::{BackendCoord, DrawingErrorKind};

use super::{Area, HEADING, LEGEND_LINE, MARGIN, SMALL, Section, WIDTH, headed, legend, text};

/// Pixels that a caption takes.
const CAPTION: u32 = 24;

/// Images in rows, each under its caption, and what their colours mean.
#[derive(Debug, Clone, Default)]
pub struct Images {
    /// Heading.
    pub heading: String,
    /// The images, all of one size.
    pub images: Vec<Image>,
    /// Colours and their meanings.
    pub key: Vec<([u8; 3], String)>,
}

/// An image.
#[derive(Debug, Clone, Default)]
pub struct Image {
    /// Caption.
    pub caption: String,
    /// Pixels in a row.
    pub width: u32,
    /// Rows of pixels.
    pub height: u32,
    /// Red, green and blue, 8 bits each, (height, width, 3) row-major.
    pub rgb: Vec<u8>,
}

impl Image {
    /// Every pixel as `factor` x `factor` pixels, so that single ones can be seen.
    #[must_use]
    pub fn enlarged(&self, factor: u32) -> Self {
        let times = factor as usize;
        let rows = self.rgb.chunks_exact(3 * self.width.max(1) as usize);
        let wide = rows.map(|row| row.chunks_exact(3).flat_map(|pixel| pixel.repeat(times)).collect::<Vec<_>>());
        Self {
            caption: self.caption.clone(),
            width: self.width * factor,
            height: self.height * factor,
            rgb: wide.flat_map(|row| row.repeat(times)).collect(),
        }
    }
}

impl From<Images> for Section {
    fn from(images: Images) -> Self {
        Self::Images(images)
    }
}

impl Images {
    /// Width and height of every image.
    fn size(&self) -> (u32, u32) {
        self.images.first().map_or((0, 0), |image| (image.width, image.height))
    }

    fn in_a_row(&self) -> u32 {
        ((WIDTH - MARGIN) / (self.size().0 + MARGIN)).max(1)
    }

    fn key_height(&self) -> u32 {
        self.key.len() as u32 * LEGEND_LINE.unsigned_abs()
    }

    pub(super) fn height(&self) -> u32 {
        let rows = (self.images.len() as u32).div_ceil(self.in_a_row());
        HEADING + rows * (CAPTION + self.size().1 + MARGIN) + self.key_height()
    }

    pub(super) fn draw(&self, area: &Area) -> Result<()> {
        let (width, height) = self.size();
        let below = headed(area, &self.heading)?;
        for (index, image) in (0..).zip(&self.images) {
            let Image { caption, rgb, .. } = image;
            let fits = (image.width, image.height) == (width, height)
                && rgb.len() as u64 == 3 * u64::from(width) * u64::from(height);
            ensure!(fits, "the image {caption:?} must have {width} x {height} pixels of three bytes");
            let x = (index % self.in_a_row() * (width + MARGIN)).cast_signed();
            let y = (index / self.in_a_row() * (CAPTION + height + MARGIN)).cast_signed();
            below.draw(&Text::new(caption.as_str(), (x, y), text(SMALL)))?;
            below.draw(&Bitmap { corner: (x, y + CAPTION.cast_signed()), size: (width, height), rgb })?;
        }
        let (_, key) = below.split_vertically(self.height() - HEADING - self.key_height());
        legend(&key, self.key.iter().map(|(rgb, meaning)| (meaning.as_str(), RGBColor(rgb[0], rgb[1], rgb[2]))))
    }
}

/// An image as it is, a pixel a pixel. plotters has such an element, but only together with its bitmap backend.
struct Bitmap<'i> {
    corner: BackendCoord,
    size: (u32, u32),
    rgb: &'i [u8],
}

impl<'a> PointCollection<'a, BackendCoord> for &'a Bitmap<'_> {
    type Point = &'a BackendCoord;
    type IntoIter = std::iter::Once<&'a BackendCoord>;

    fn point_iter(self) -> Self::IntoIter {
        std::iter::once(&self.corner)
    }
}

impl<DB: DrawingBackend> Drawable<DB> for Bitmap<'_> {
    fn draw<I: Iterator<Item = BackendCoord>>(
        &self,
        points: I,
        backend: &mut DB,
        _: (u32, u32),
    ) -> Result<(), DrawingErrorKind<DB::ErrorType>> {
        for corner in points {
            backend.blit_bitmap(corner, self.size, self.rgb)?;
        }
        Ok(())
    }
}
