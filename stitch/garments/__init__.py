"""Tailors: functions that cut a design into panels on a sheet."""

import numpy as np

from stitch.design import Design
from stitch.garments.bottoms import draw_bottom
from stitch.garments.tops import draw_top
from stitch.garments.work import Pose, Work
from stitch.paper import Sheet
from stitch.rules import BOTTOMS

__all__ = ["Pose", "draw_garment"]


def draw_garment(design: Design, pose: Pose) -> Sheet:
    """Cut and sew a design in a pose."""
    work = Work(Sheet(), design, pose, np.random.default_rng([pose.seed, 11]))
    draw = draw_bottom if design.category in BOTTOMS else draw_top
    draw(work)
    return work.sheet
