"""Shapes whose colour and place are attributes, on 32 pixels."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from model.attributes.records import Attribute, AttributeData, AttributeSplit, Labelled
from model.data.records import Photo

COLOURS = ("red", "green", "blue")
PLACES = ((2, 2), (16, 16))


def draw_data(folder: Path, count: int = 24) -> AttributeData:
    rng = np.random.default_rng(0)
    photos = []
    for number in range(count):
        colour, place = int(rng.integers(3)), int(rng.integers(2))
        image = Image.new("RGB", (40, 32), "white")
        left, top = PLACES[place]
        ImageDraw.Draw(image).ellipse((left, top, left + 12, top + 12), fill=COLOURS[colour])
        path = folder / f"{number}.png"
        image.save(path)
        photos.append(Labelled(Photo(path, str(number)), {0: colour, 1: place}))
    whole = tuple(photos)
    asks, answers = tuple(range(0, count, 4)), tuple(i for i in range(count) if i % 4)
    split = AttributeSplit(whole, {0: asks, 1: asks}, {0: answers, 1: answers})
    attributes = (Attribute("colour", COLOURS), Attribute("place", ("above", "below")))
    return AttributeData("fashionai:shapes", attributes, whole, split, split)
