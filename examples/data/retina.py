"""Writes retina.png, a photograph, and retina-vessels.png, where its vessels are, from what scikit-image ships.

    pip install scikit-image==0.26.0
    python examples/data/retina.py

The vessels are drawn by a filter, not by an ophthalmologist. It works at 2.5 times the resolution of the photograph that
is written, and with the shape of what it sees, so that a classifier of small pixels cannot simply repeat it.
"""

from pathlib import Path

import numpy
from skimage import data, filters, io, morphology, transform

# 1411 x 1411 pixels lose their last row and column, so that blocks of 2 x 2 (filter) and 5 x 5 (photograph) fit.
SIDE = 1410
BLOCK = 5

OUTSIDE, TISSUE, VESSEL = 0, 128, 255


def shrink(image: numpy.ndarray, block: int) -> numpy.ndarray:
    """Means of block x block pixels, of each channel for itself."""
    return transform.downscale_local_mean(image.astype(float), (block, block) + (1,) * (image.ndim - 2))


def field_of_view(red: numpy.ndarray, green: numpy.ndarray) -> numpy.ndarray:
    """What the camera saw, without its rim and without the optic disc, whose edge looks like a vessel to a filter."""
    lit = morphology.opening(red > 60, morphology.disk(20))
    field = morphology.erosion(lit, morphology.disk(12))
    blurred = filters.gaussian(green, 20, preserve_range=True)
    row, column = numpy.unravel_index(blurred.argmax(), blurred.shape)
    rows, columns = numpy.indices(field.shape)
    return field & ((rows - row) ** 2 + (columns - column) ** 2 > 65**2)


def vessels(green: numpy.ndarray, field: numpy.ndarray) -> numpy.ndarray:
    """Ridges darker than their surroundings: Sato's tubeness, thresholded with hysteresis, without specks."""
    relative = green / (filters.gaussian(green, 22, preserve_range=True) + 1)
    ridges = filters.sato(relative, sigmas=[1.5, 2, 3, 4], black_ridges=True)
    return morphology.remove_small_objects(filters.apply_hysteresis_threshold(ridges * field, 0.05, 0.09), max_size=300)


def majority(mask: numpy.ndarray) -> numpy.ndarray:
    """A mask of half the resolution of the source, at that of the photograph: a pixel is what half of its block is."""
    return shrink(mask.repeat(2, axis=0).repeat(2, axis=1), BLOCK) >= 0.5


if __name__ == "__main__":
    source = data.retina()[:SIDE, :SIDE]
    half = shrink(source, 2)
    field = field_of_view(half[:, :, 0], half[:, :, 1])
    inside = majority(field)
    vessel = majority(vessels(half[:, :, 1], field))
    mask = numpy.where(inside, numpy.where(vessel, VESSEL, TISSUE), OUTSIDE)
    folder = Path(__file__).parent
    for name, image in (("retina", numpy.rint(shrink(source, BLOCK))), ("retina-vessels", mask)):
        path = folder / f"{name}.png"
        io.imsave(path, image.astype(numpy.uint8), check_contrast=False)
        print(f"wrote {path}")
