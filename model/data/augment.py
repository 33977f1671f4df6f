"""Training views of a photo. Each is a function of (photo, generator) and nothing else.

`train_view` is the paper's habit: flip, pad and crop, random erasing. `instance_view`
goes further, for photos whose only positives are their own views: a close-up, another
background, other light, another angle.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageEnhance, ImageFilter

from model.preprocessing import WHITE, Preprocessing

Pixels = NDArray[np.uint8]
View = Callable[[Image.Image, Preprocessing, np.random.Generator], Pixels]

FLIP = 0.5
PADDING = 10  # pixels on each side at 320; scaled with the input
ERASE, ERASE_AREA, ERASE_RATIO = 0.5, (0.02, 0.4), 0.3
CLOSE_UP, CLOSE_UP_SIDE = 0.5, (0.35, 0.8)
OTHER_BACKGROUND = 0.5
# Of a pair: the stranger's photo shows a part more often, in light not too far from the shop's.
QUERY_CLOSE_UP, QUERY_LIGHT, QUERY_FLIP = 0.65, 0.5, 0.3
TRIM = 0.15  # of a side, at most, is cut from the shop's photo
# A border pixel counts as shop white from here on; of the border, this share has to be.
WHITE_FROM, WHITE_BORDER = 232, 0.6
# A crop for distillation: its share of the photo's area, how far its sides may stretch, its light.
CROP_AREA, CROP_STRETCH, CROP_LIGHT = (0.15, 1.0), 4 / 3, 0.4
TURN = 15.0  # degrees
TILT = 0.08  # of the side, by which a corner wanders


def plain_view(image: Image.Image, preprocessing: Preprocessing, _: np.random.Generator) -> Pixels:
    """The photo as it is served: uint8 HWC RGB, no lots drawn."""
    return _letterbox(image, preprocessing.image_size, (0, 0))


def train_view(
    image: Image.Image, preprocessing: Preprocessing, rng: np.random.Generator
) -> Pixels:
    """Flip, pad and crop, erase: uint8 HWC RGB, 0..255, `image_size` square."""
    side = preprocessing.image_size
    if rng.random() < FLIP:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    reach = round(PADDING * side / 320)
    # Padding and cropping back is a shift: done while pasting, it costs nothing.
    left, top = rng.integers(-reach, reach + 1, 2).tolist()
    pixels = _letterbox(image, side, (left, top))
    if rng.random() < ERASE:
        _erase(pixels, preprocessing, rng)
    return pixels


def instance_view(
    image: Image.Image, preprocessing: Preprocessing, rng: np.random.Generator
) -> Pixels:
    """A view that only the garment itself has in common with the next one."""
    return train_view(draw_view(image, rng, preprocessing.image_size), preprocessing, rng)


def query_view(
    image: Image.Image, preprocessing: Preprocessing, rng: np.random.Generator
) -> Pixels:
    """As a stranger would show a garment: mostly close-ups, another angle, other light."""
    view = draw_view(
        image, rng, preprocessing.image_size, close_ups=QUERY_CLOSE_UP, light=QUERY_LIGHT
    )
    if rng.random() < QUERY_FLIP:
        view = view.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    return _letterbox(view, preprocessing.image_size, (0, 0))


def item_view(image: Image.Image, preprocessing: Preprocessing, rng: np.random.Generator) -> Pixels:
    """As a shop shows it: nearly the whole photo, in its own light."""
    return _letterbox(_trim(image, rng), preprocessing.image_size, (0, 0))


def crop_view(image: Image.Image, preprocessing: Preprocessing, rng: np.random.Generator) -> Pixels:
    """Any part at any size, sometimes mirrored, in nearly its own light."""
    side = preprocessing.image_size
    part = _shrink(random_crop(image, rng), side)
    if rng.random() < FLIP:
        part = part.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    return _letterbox(relight(part, rng, CROP_LIGHT), side, (0, 0))


def two_views(
    image: Image.Image, preprocessing: Preprocessing, rng: np.random.Generator
) -> tuple[Pixels, Pixels]:
    """Two views of one photo, each other's positive."""
    first = instance_view(image, preprocessing, rng)
    return first, instance_view(image, preprocessing, rng)


def draw_view(
    image: Image.Image,
    rng: np.random.Generator,
    side: int = 320,
    *,
    close_ups: float = CLOSE_UP,
    light: float = 1.0,
) -> Image.Image:
    """Another photo of the same garment: the longer side is `side` pixels at most.

    `close_ups` is their share, `light` how far its changes go (see `relight`).
    """
    ground, close = rng.random() < OTHER_BACKGROUND, rng.random() < close_ups
    # Shrunk first: everything below then works on few pixels.
    if ground:
        image = _shrink(image, 2 * side if close else side)
        image = change_background(image, rng)
    if close:
        image = close_up(image, rng)
    return relight(warp(_shrink(image, side), rng), rng, light)


def close_up(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Cut out a part, as a detail shot would show it; nearer the centre than the border."""
    width, height = image.size
    share = rng.uniform(*CLOSE_UP_SIDE)
    size = max(16, round(share * width)), max(16, round(share * height))
    place = (rng.random(2) + rng.random(2)) / 2  # a triangle: peaks in the middle
    left = round(place[0] * max(0, width - size[0]))
    top = round(place[1] * max(0, height - size[1]))
    return image.crop((left, top, min(width, left + size[0]), min(height, top + size[1])))


def random_crop(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Cut out a part of .15 to 1 of the area, anywhere, up to 4/3 wider or higher."""
    share = np.sqrt(rng.uniform(*CROP_AREA))
    stretch = np.sqrt(CROP_STRETCH ** rng.uniform(-1, 1))
    width = min(image.width, max(1, round(image.width * share * stretch)))
    height = min(image.height, max(1, round(image.height * share / stretch)))
    left = int(rng.integers(0, image.width - width + 1))
    top = int(rng.integers(0, image.height - height + 1))
    return image.crop((left, top, left + width, top + height))


def change_background(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Put a photo from a white background before another; other photos come back as they are."""
    pixels = np.asarray(image)
    border = np.concatenate((pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]))
    if (border.min(axis=1) >= WHITE_FROM).mean() < WHITE_BORDER:
        return image
    # Channel by channel: a minimum over an axis of three is many times slower.
    red, green, blue = (pixels[..., channel] >= WHITE_FROM for channel in range(3))
    white: NDArray[np.bool_] = red & green & blue
    outside = _flood(white)
    mask = Image.fromarray(outside.astype(np.uint8) * 255).filter(ImageFilter.BoxBlur(1))
    return Image.composite(_paint_ground(image.size, rng), image, mask)


def relight(image: Image.Image, rng: np.random.Generator, strength: float = 1.0) -> Image.Image:
    """Change exposure, contrast and saturation, and a little of the light's colour.

    Little, because colour tells garments apart. `strength` scales every change.
    """

    def around_one(reach: float, size: int | None = None) -> NDArray[np.float64]:
        return np.asarray(rng.uniform(1 - strength * reach, 1 + strength * reach, size))

    gain = around_one(0.25) * around_one(0.06, 3)
    ramp = np.linspace(0.0, 1.0, 256) ** around_one(0.18)
    ramp = 0.5 + around_one(0.2) * (ramp - 0.5)
    table = np.clip(255.0 * ramp[None] * gain[:, None], 0, 255).round().astype(np.uint8)
    image = image.point(table.ravel().tolist())
    return ImageEnhance.Color(image).enhance(float(around_one(0.25)))


def warp(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Turn and tilt a little; what comes in from outside takes the border's mean colour."""
    width, height = image.size
    corners = np.array([(0, 0), (0, height), (width, height), (width, 0)], dtype=np.float64)
    centre = corners.mean(axis=0)
    angle = np.deg2rad(rng.uniform(-TURN, TURN))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    wander = rng.uniform(-TILT, TILT, (4, 2)) * (width, height)
    source = (corners - centre) @ turn.T + centre + wander
    return image.transform(
        image.size,
        Image.Transform.PERSPECTIVE,
        _find_perspective(corners, source),
        Image.Resampling.BILINEAR,
        fillcolor=_border_colour(image),
    )


def _trim(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Cut a little from the borders."""
    left, top, right, bottom = rng.uniform(0, TRIM / 2, 4) * (2 * image.size)
    return image.crop(
        (round(left), round(top), image.width - round(right), image.height - round(bottom))
    )


def _shrink(image: Image.Image, side: int) -> Image.Image:
    """Scale the longer side down to `side`; never up."""
    if max(image.size) <= side:
        return image
    scale = side / max(image.size)
    size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    return image.resize(size, Image.Resampling.BICUBIC, reducing_gap=3.0)


def _letterbox(image: Image.Image, side: int, shift: tuple[int, int]) -> Pixels:
    """As `model.preprocessing.prepare`, moved by `shift` pixels."""
    scale = side / max(image.size)
    width, height = (max(1, round(length * scale)) for length in image.size)
    small = image.resize((width, height), Image.Resampling.BICUBIC, reducing_gap=3.0)
    canvas = Image.new("RGB", (side, side), WHITE)
    canvas.paste(small, ((side - width) // 2 + shift[0], (side - height) // 2 + shift[1]))
    return np.array(canvas)


def _erase(pixels: Pixels, preprocessing: Preprocessing, rng: np.random.Generator) -> None:
    """Fill one rectangle with the mean colour, in place."""
    side = len(pixels)
    area = rng.uniform(*ERASE_AREA) * side * side
    ratio = np.exp(rng.uniform(np.log(ERASE_RATIO), -np.log(ERASE_RATIO)))
    height = min(side, round(float(np.sqrt(area * ratio))))
    width = min(side, round(float(np.sqrt(area / ratio))))
    top = int(rng.integers(0, side - height + 1))
    left = int(rng.integers(0, side - width + 1))
    colour = np.array([round(255 * value) for value in preprocessing.mean], dtype=np.uint8)
    pixels[top : top + height, left : left + width] = colour


def _flood(white: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """White that hangs together with the border: a white shirt's inside stays.

    Whole runs from each of the four sides, twice, so that the ground behind an arm or
    between the legs is mostly found; a maze is not, and does not matter here.
    """
    found = np.zeros_like(white)
    for _ in range(2):
        for axis in (0, 1):
            for step in (1, -1):
                flip = (
                    (slice(None, None, step),)
                    if axis == 0
                    else (slice(None), slice(None, None, step))
                )
                found[flip] |= _run(white[flip], found[flip], axis)
    return found


def _run(white: NDArray[np.bool_], found: NDArray[np.bool_], axis: int) -> NDArray[np.bool_]:
    """Extend what is found (and the border) along an axis until the white ends."""
    length = white.shape[axis]
    index = np.arange(length).reshape((-1, 1) if axis == 0 else (1, -1))
    stop = np.maximum.accumulate(np.where(white, -1, index), axis=axis)
    start = np.maximum.accumulate(np.where(found, index, -1), axis=axis)
    reached: NDArray[np.bool_] = white & ((start > stop) | (stop < 0))
    return reached


def _paint_ground(size: tuple[int, int], rng: np.random.Generator) -> Image.Image:
    """A soft random surface: a few colours, blown up, with grain."""
    cells = int(rng.integers(1, 7))
    base = rng.uniform(40, 235, 3)
    spread = rng.uniform(0, 50)
    seeds = np.clip(base + rng.normal(0, 1, (cells, cells, 3)) * spread, 0, 255)
    ground = Image.fromarray(seeds.astype(np.uint8)).resize(size, Image.Resampling.BICUBIC)
    # Half size: grain of two pixels looks like cloth or carpet, and costs a quarter.
    small = max(1, size[0] // 2), max(1, size[1] // 2)
    grain = rng.integers(0, 256, (small[1], small[0]), dtype=np.uint8)
    noise = Image.merge("RGB", [Image.fromarray(grain).resize(size)] * 3)
    return Image.blend(ground, noise, rng.uniform(0, 0.15))


def _border_colour(image: Image.Image) -> tuple[int, int, int]:
    small = np.asarray(image.resize((8, 8), Image.Resampling.BOX))
    border = np.concatenate((small[0], small[-1], small[1:-1, 0], small[1:-1, -1]))
    red, green, blue = border.mean(axis=0).round().astype(int).tolist()
    return red, green, blue


def _find_perspective(to: NDArray[np.float64], source: NDArray[np.float64]) -> tuple[float, ...]:
    """The eight numbers Pillow wants: they map the corners `to` to the corners `source`."""
    rows, right = [], []
    for (x, y), (u, v) in zip(to, source, strict=True):
        rows += [(x, y, 1, 0, 0, 0, -u * x, -u * y), (0, 0, 0, x, y, 1, -v * x, -v * y)]
        right += [u, v]
    return tuple(np.linalg.solve(np.array(rows), np.array(right)).tolist())
