"""A picture of an explanation: both photos side by side, matched regions in one colour."""

import math
from collections.abc import Mapping, Sequence
from io import BytesIO

from PIL import Image, ImageDraw, ImageFont

from indexer.results import AttributeRegions, Ellipse, RegionPair
from model.images import MAX_PIXELS, decode_image

HEIGHT = 480
GAP = 48
RADIUS = 11.0
# Told apart also by people who see fewer colours (Okabe and Ito), dark ones first.
COLOURS = (
    "#d55e00", "#0072b2", "#009e73", "#cc79a7", "#e69f00",
    "#56b4e9", "#7f3c8d", "#8c564b", "#4d4d4d", "#b3b300",
)  # fmt: skip
_STEPS = 72
# Regions of an attribute that are shown, as on the page, and how much they cover, of 255.
_GAZES = 2
_TINT = 110
Point = tuple[float, float]


def draw_explanation(
    query_photo: bytes,
    item_photo: bytes,
    pairs: Sequence[RegionPair],
    attributes: Mapping[str, AttributeRegions] | None = None,
    *,
    photo: int = 0,
    max_pixels: int = MAX_PIXELS,
) -> bytes:
    """Draw pairs of one query photo and one item as a PNG, 480 pixels high.

    Each pair has a number, its place in `pairs`, a colour, and a line between its regions. The
    two regions that each attribute looks at most are tinted in a colour of its own, on both
    sides, with its name; `photo` says which of the query's photos this is.

    Raises:
        ImageError: one of the photos is not usable.
    """
    photos = [_fit(decode_image(data, max_pixels=max_pixels)) for data in (query_photo, item_photo)]
    left, right = photos
    canvas = Image.new("RGB", (left.width + GAP + right.width, HEIGHT), "white")
    origins = ((0, 0), (left.width + GAP, 0))
    for picture, origin in zip(photos, origins, strict=True):
        canvas.paste(picture, origin)
    draw = ImageDraw.Draw(canvas)
    for number, (name, regions) in enumerate((attributes or {}).items(), start=len(pairs)):
        mine = [region for region in regions.query if region.photo == photo]
        for seen, picture, (x, _) in zip((mine, regions.item), photos, origins, strict=True):
            _draw_gaze(canvas, [each.ellipse for each in seen[:_GAZES]], picture, x, number, name)
    ends = _place_numbers(pairs, photos, origins)
    for number, line in enumerate(ends):
        draw.line(line, fill=_colour(number), width=2)
    for number, pair in enumerate(pairs):
        for ellipse, picture, (x, _) in zip((pair.query, pair.item), photos, origins, strict=True):
            _draw_ellipse(canvas, ellipse, picture, x, _colour(number))
    for number, line in enumerate(ends):
        for point in line:
            _draw_number(draw, point, number)
    buffer = BytesIO()
    canvas.save(buffer, "PNG")
    return buffer.getvalue()


def outline(ellipse: Ellipse) -> list[Point]:
    """Points of the ellipse in fractions of its photo, which stretches them to the true shape."""
    turn = math.radians(ellipse.angle)
    points = []
    for step in range(_STEPS):
        at = 2 * math.pi * step / _STEPS
        along, across = ellipse.major * math.cos(at), ellipse.minor * math.sin(at)
        x = ellipse.x + along * math.cos(turn) - across * math.sin(turn)
        points.append((x, ellipse.y + along * math.sin(turn) + across * math.cos(turn)))
    return points


def _fit(photo: Image.Image) -> Image.Image:
    width = min(4 * HEIGHT, max(1, round(photo.width * HEIGHT / photo.height)))
    return photo.resize((width, HEIGHT), Image.Resampling.BICUBIC)


def _colour(number: int) -> str:
    return COLOURS[number % len(COLOURS)]


def _draw_ellipse(
    canvas: Image.Image, ellipse: Ellipse, photo: Image.Image, left: int, colour: str
) -> None:
    """Draw onto the photo's own part of the canvas: what reaches outside is cut off."""
    part = canvas.crop((left, 0, left + photo.width, HEIGHT))
    points = [(x * photo.width, y * HEIGHT) for x, y in outline(ellipse)]
    ring = [*points, points[0]]
    draw = ImageDraw.Draw(part)
    # A white rim keeps the line visible on a garment of its colour.
    draw.line(ring, fill="white", width=5, joint="curve")
    draw.line(ring, fill=colour, width=3, joint="curve")
    canvas.paste(part, (left, 0))


def _draw_gaze(
    canvas: Image.Image,
    ellipses: Sequence[Ellipse],
    photo: Image.Image,
    left: int,
    number: int,
    name: str,
) -> None:
    """Tint what an attribute looks at, largest share first, and name it there."""
    if not ellipses:
        return
    part = canvas.crop((left, 0, left + photo.width, HEIGHT))
    mask = Image.new("L", part.size)
    for ellipse in ellipses:
        points = [(x * photo.width, y * HEIGHT) for x, y in outline(ellipse)]
        ImageDraw.Draw(mask).polygon(points, fill=_TINT)
    part.paste(Image.new("RGB", part.size, _colour(number)), mask=mask)
    draw, font = ImageDraw.Draw(part), ImageFont.load_default(13)
    _, _, wide, high = draw.textbbox((0, 0), name, font=font)
    wide, high = wide + 8, high + 6
    x = max(0.0, min(ellipses[0].x * photo.width - wide / 2, photo.width - wide))
    y = max(0.0, min(ellipses[0].y * HEIGHT - high / 2, HEIGHT - high))
    draw.rectangle((x, y, x + wide, y + high), fill=_colour(number))
    draw.text((x + 4, y + 2), name, fill="white", font=font)
    canvas.paste(part, (left, 0))


def _place_numbers(
    pairs: Sequence[RegionPair], photos: Sequence[Image.Image], origins: Sequence[tuple[int, int]]
) -> list[tuple[Point, Point]]:
    """Where the numbers of each pair go: its regions' centres, or beside a number that is there."""
    taken: list[Point] = []
    for pair in pairs:
        for ellipse, photo, (left, _) in zip((pair.query, pair.item), photos, origins, strict=True):
            x = _between(ellipse.x * photo.width, photo.width)
            y, step = _between(ellipse.y * HEIGHT, HEIGHT), 2 * RADIUS + 2
            while any(abs(left + x - a) < step and abs(y - b) < step for a, b in taken):
                y += step
                if y > HEIGHT - RADIUS:  # down to the edge, then a column further
                    x, y = (x + step) % photo.width, RADIUS
            taken.append((left + x, y))
    return list(zip(taken[::2], taken[1::2], strict=True))


def _between(place: float, length: int) -> float:
    return min(max(place, RADIUS), max(RADIUS, length - 1 - RADIUS))


def _draw_number(draw: ImageDraw.ImageDraw, point: Point, number: int) -> None:
    (x, y), colour = point, _colour(number)
    draw.ellipse((x - RADIUS, y - RADIUS, x + RADIUS, y + RADIUS), fill=colour, outline="white")
    font = ImageFont.load_default(13)
    draw.text((x, y), str(number + 1), fill="white", font=font, anchor="mm")
