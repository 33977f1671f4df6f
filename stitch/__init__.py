"""Stitch draws garments: a parametric renderer whose every detail is a known attribute.

    design = stitch.sample_design(7)
    photo = stitch.render(design, view=stitch.View.PERSON, seed=1, size=320)

A `Design` says everything there is to know about a garment; `render` draws it, always to the
same bytes for the same arguments; `write_gallery` writes a folder of shop photos with a CSV and
a folder of people's photos that look for them. Stitch imports nothing of this project.
"""

from stitch.design import ATTRIBUTES, Design, applicable
from stitch.errors import StitchError
from stitch.gallery import GallerySettings, write_gallery
from stitch.render import View, render
from stitch.sampling import Family, Split, hard_family, sample_design, sample_designs, split_of
from stitch.sheet import draw_sheet

__all__ = [
    "ATTRIBUTES",
    "Design",
    "Family",
    "GallerySettings",
    "Split",
    "StitchError",
    "View",
    "applicable",
    "draw_sheet",
    "hard_family",
    "render",
    "sample_design",
    "sample_designs",
    "split_of",
    "write_gallery",
]
