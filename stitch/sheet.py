"""Contact sheets, for looking."""

import io
from pathlib import Path

from PIL import Image, ImageDraw

from stitch.errors import StitchError
from stitch.gallery import FAMILY_SIZES, explain, write_atomically
from stitch.render import View, render
from stitch.sampling import Split, hard_family, sample_designs

CAPTION = 14


def draw_sheet(
    products: int = 24, *, seed: int = 0, size: int = 192, persons: int = 2, families: bool = False
) -> Image.Image:
    """Each product's shop photo followed by `persons` people's photos.

    With `families`, one hard family a row instead, captioned by what differs.
    """
    if products < 1 or persons < 0:
        raise StitchError(
            f"products is {products} and persons is {persons}; expected 1 or more and 0 or more"
        )
    if families:
        rows = [_family_cells(seed * 7919 + k, size) for k in range(products)]
    else:
        designs = sample_designs(Split.TRAIN, products, seed)
        rows = [
            [(render(design, View.SHOP, seed, size), design.title)]
            + [(render(design, View.PERSON, seed + k, size), "") for k in range(persons)]
            for design in designs
        ]
    return _paste(rows, size, abreast=1 if families else max(1, round(6 / len(rows[0]))))


def write_sheet(path: Path, picture: Image.Image) -> None:
    """Write a PNG whole or not at all. Raises StitchError when it cannot be written."""
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    try:
        write_atomically(path, buffer.getvalue())
    except OSError as error:
        raise StitchError(explain(error, path)) from error


def _family_cells(seed: int, size: int) -> list[tuple[Image.Image, str]]:
    family = hard_family(seed, FAMILY_SIZES[seed % len(FAMILY_SIZES)])
    return [
        (
            render(design, View.SHOP, seed, size),
            f"{family.attribute}: {getattr(design, family.attribute)}",
        )
        for design in family.designs
    ]


def _paste(rows: list[list[tuple[Image.Image, str]]], size: int, abreast: int) -> Image.Image:
    """Lay the rows out, `abreast` of them beside each other."""
    group = max(len(row) for row in rows)
    lines = -(-len(rows) // abreast)
    shape = (abreast * group * size, lines * (size + CAPTION))
    sheet = Image.new("RGB", shape, "white")
    draw = ImageDraw.Draw(sheet)
    for number, row in enumerate(rows):
        left, y = number % abreast * group * size, number // abreast * (size + CAPTION)
        for k, (picture, caption) in enumerate(row):
            sheet.paste(picture, (left + k * size, y))
            draw.text((left + k * size + 3, y + size), caption[: size // 6], fill="black")
    return sheet
