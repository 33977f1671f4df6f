"""A design, a view and a seed become a picture, always the same one."""

from enum import StrEnum

import numpy as np
from PIL import Image

from stitch import occluders, photo
from stitch.backdrop import FLAT, UPRIGHT, paint_backdrop
from stitch.cloth import weave
from stitch.design import Design
from stitch.errors import StitchError
from stitch.garments import Pose, draw_garment
from stitch.palette import HAIR, SKIN
from stitch.paper import Frame, Sheet
from stitch.rules import BOTTOMS

MIN_SIZE, MAX_SIZE = 32, 2048


class View(StrEnum):
    """What a photo shows, and who took it."""

    SHOP = "shop"
    BACK = "back"
    DETAIL = "detail"
    PERSON = "person"


def render(
    design: Design, view: View | str = View.SHOP, seed: int = 0, size: int = 224
) -> Image.Image:
    """Draw a design as an RGB photo of `size` x `size` pixels.

    Equal arguments give equal bytes. Raises StitchError for a size outside 32..2048.
    """
    if not MIN_SIZE <= size <= MAX_SIZE:
        raise StitchError(f"size is {size}; expected {MIN_SIZE} to {MAX_SIZE} pixels")
    view = View(view)
    rng = _generator(design, view, seed)
    return _VIEWS[view](design, rng, size)


def _generator(design: Design, view: View, seed: int) -> np.random.Generator:
    # The drawing of lots does not depend on the details, so that the members of a hard family,
    # drawn with one seed, differ in their detail and nowhere else.
    return np.random.default_rng([int(design.kin[:12], 16), list(View).index(view), seed])


def _shop_pose(design: Design, rng: np.random.Generator, *, back: bool = False) -> Pose:
    long = design.sleeve_length == "long"
    angle = rng.uniform(15, 24) if long else rng.uniform(32, 44)
    return Pose(arms=(angle, angle), bends=(-3.0, -3.0), spread=rng.uniform(0, 2), back=back,
                seed=int(rng.integers(1 << 30)))  # fmt: skip


def _shop(
    design: Design, rng: np.random.Generator, size: int, *, back: bool = False
) -> Image.Image:
    pose = _shop_pose(design, rng, back=back)
    sheet = draw_garment(design, pose)
    return _finish_shop(sheet, design, _whole(sheet, 0.88), rng, size, pose.seed)


def _back(design: Design, rng: np.random.Generator, size: int) -> Image.Image:
    return _shop(design, rng, size, back=True)


def _detail(design: Design, rng: np.random.Generator, size: int) -> Image.Image:
    pose = _shop_pose(design, rng)
    sheet = draw_garment(design, pose)
    return _finish_shop(sheet, design, _close(sheet, rng), rng, size, pose.seed)


def _finish_shop(
    sheet: Sheet, design: Design, frame: Frame, rng: np.random.Generator, size: int, seed: int
) -> Image.Image:
    """Light background, soft shadow below."""
    cut = np.asarray(weave(sheet, design, frame, size, seed))
    alpha = cut[..., 3].astype(np.float32) / 255
    grey = rng.uniform(238, 250)
    line = np.linspace(0, 1, size, dtype=np.float32)
    ground = np.float32(grey) - 8 * line[:, None] ** 2 * np.ones((1, size), np.float32)
    shade = photo.cast_shadow(alpha, (size // 120, size // 60), size / 34, 0.3)
    ground = ground * (1 - shade)
    tint = np.array([1.0, 1.0, rng.uniform(0.985, 1.005)], np.float32)
    picture = ground[..., None] * tint * (1 - alpha[..., None])
    picture += cut[..., :3] * alpha[..., None]
    return photo.expose(picture, rng, blur=0, noise=0.8)


def _person(design: Design, rng: np.random.Generator, size: int) -> Image.Image:
    setting = ("worn", "worn", "flat", "flat", "hanger")[int(rng.integers(5))]
    sheet, pose = _pose_person(design, rng, setting)
    frame = _frame_person(sheet, rng, setting)
    wide = Frame.around(
        frame.corner + complex(frame.side, frame.side) / 2, frame.side * photo.MARGIN
    )
    # A little coarser than the margin asks for: the lens blurs it anyway, and it saves a fifth.
    cut = weave(sheet, design, wide, round(size * 1.12), pose.seed)
    turn = rng.uniform(-28, 28) if setting == "flat" else rng.normal(0, 4)
    if setting == "flat" and rng.random() < 0.12:
        turn += 180
    layer = np.asarray(photo.warp(cut, size, rng, turn=turn, bend=rng.uniform(0.004, 0.02),
                                  tilt=0.22 if setting == "flat" else 0.13))  # fmt: skip
    kinds = FLAT if setting == "flat" else UPRIGHT
    picture = paint_backdrop(kinds[int(rng.integers(len(kinds)))], size, rng)
    alpha = layer[..., 3].astype(np.float32) / 255
    far = 1.0 if setting == "flat" else 2.2
    shift = (
        int(rng.integers(-4, 5) * far * size / 224),
        int(rng.integers(2, 6) * far * size / 224),
    )
    picture *= (1 - photo.cast_shadow(alpha, shift, far * size / 45, rng.uniform(0.3, 0.6)))[
        ..., None
    ]
    picture *= (1 - alpha)[..., None]
    picture += layer[..., :3] * alpha[..., None]
    photo.relight(picture, rng, 1.0)
    blur = max(0.0, rng.normal(0.35, 0.4)) * size / 224
    shot = photo.expose(picture, rng, blur=blur, noise=rng.uniform(1.0, 7.0))
    return photo.compress(shot, int(rng.integers(45, 88)))


def _pose_person(design: Design, rng: np.random.Generator, setting: str) -> tuple[Sheet, Pose]:
    worn = setting == "worn"
    arms = rng.uniform(4, 30, 2) if worn else rng.uniform(14, 62, 2)
    bends = rng.uniform(-12, 6, 2)
    if worn and rng.random() < 0.35:  # a hand on the hip
        side = int(rng.integers(2))
        arms[side], bends[side] = rng.uniform(30, 40), rng.uniform(-80, -60)
    if setting == "hanger":
        arms, bends = rng.uniform(3, 14, 2), rng.uniform(-5, 2, 2)
    pose = Pose(
        arms=(float(arms[0]), float(arms[1])), bends=(float(bends[0]), float(bends[1])),
        spread=rng.uniform(0, 6), worn=worn, seed=int(rng.integers(1 << 30)),
        skin=SKIN[int(rng.integers(len(SKIN)))], hair=HAIR[int(rng.integers(len(HAIR)))],
    )  # fmt: skip
    sheet = draw_garment(design, pose)
    _occlude(sheet, design, rng, setting, pose)
    return sheet, pose


def _occlude(
    sheet: Sheet, design: Design, rng: np.random.Generator, setting: str, pose: Pose
) -> None:
    bottom = design.category in BOTTOMS
    if setting == "hanger":
        if bottom:
            occluders.add_clips(sheet)
        else:
            behind = Sheet()
            occluders.add_hanger(sheet, rng, behind)
            sheet.shapes[:0] = behind.shapes
    lot = rng.random()
    if setting == "worn" and not bottom:
        if lot < 0.18:
            occluders.add_hair(sheet, rng, pose.hair)
        elif lot < 0.32:
            occluders.add_strap(sheet, rng)
        elif lot < 0.44:
            occluders.add_phone(sheet, rng, pose.skin)
    elif lot < 0.16:
        occluders.add_arm(sheet, rng, pose.skin)


def _whole(sheet: Sheet, share: float) -> Frame:
    low, high = sheet.bounds()
    size = high - low
    return Frame.around((low + high) / 2, max(size.real, size.imag) / share)


def _close(sheet: Sheet, rng: np.random.Generator) -> Frame:
    names = sorted(sheet.foci)
    centre, radius = sheet.foci[names[int(rng.integers(len(names)))]]
    wobble = complex(*rng.uniform(-0.2, 0.2, 2)) * radius
    return Frame.around(centre + wobble, radius * 2 * rng.uniform(1.0, 1.5))


def _frame_person(sheet: Sheet, rng: np.random.Generator, setting: str) -> Frame:
    """Mostly the whole garment, sometimes cut by the edge, sometimes one detail."""
    lot = rng.random()
    if lot < 0.16:
        centre, radius = (frame := _close(sheet, rng)).corner, frame.side
        return Frame(centre - radius * (0.2 + 0.2j), radius * 1.4)
    whole = _whole(sheet, 0.9)
    zoom = rng.uniform(0.98, 1.25) if lot < 0.68 else rng.uniform(0.6, 0.95)
    drift = (
        complex(*rng.uniform(-0.07, 0.07, 2))
        if lot < 0.68
        else complex(*rng.uniform(-0.16, 0.16, 2))
    )
    centre = whole.corner + complex(whole.side, whole.side) * 0.5
    return Frame.around(centre + drift * whole.side, whole.side * zoom)


_VIEWS = {View.SHOP: _shop, View.BACK: _back, View.DETAIL: _detail, View.PERSON: _person}
