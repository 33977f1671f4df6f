"""The probes on drawn shapes: what the figures are made of, not what they are."""

import csv
import json
from pathlib import Path

import pytest
from PIL import Image, ImageDraw
from typer.testing import CliRunner

from benchmarks.cli import app
from model.fit import create_checkpoint

COLOURS = ("crimson", "navy", "olive", "orange")


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two products in four colours: main and back views, and a close-up of each."""
    folder = tmp_path_factory.mktemp("probe")
    rows = []
    for product, width in (("wide", 44), ("slim", 14)):
        for colour in COLOURS:
            for view, box in (
                ("main", (0, 0, 64, 64)),
                ("back", (2, 2, 62, 62)),
                ("alt", (8, 8, 56, 56)),
            ):
                image = Image.new("RGB", (64, 64), "white")
                middle = (32 - width // 2, 8, 32 + width // 2, 56)
                ImageDraw.Draw(image).rectangle(middle, fill=colour)
                name = f"{product}-{colour}-{view}.png"
                image.crop(box).resize((64, 64)).save(folder / name)
                rows.append({"image": name, "product_id": product, "color": colour, "view": view})
    with (folder / "gallery.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return folder


def test_a_checkpoint_is_measured_with_intervals(photos: Path, tmp_path: Path) -> None:
    checkpoint, out = tmp_path / "c.safetensors", tmp_path / "figures.json"
    create_checkpoint(checkpoint, preset="tiny", photos=sorted(photos.glob("*-main.png")))
    options = ["--photos", photos, "--checkpoint", checkpoint, "--out", out]
    shown = CliRunner().invoke(app, ["probes", *map(str, options)])
    assert shown.exit_code == 0, shown.output
    assert "back: fused finds" in shown.output
    back = json.loads(out.read_text())["figures"]["back"]
    assert back["queries"] == 8
    value, low, high = back["rows"]["global"]["R@10"]
    assert value == 1.0  # all eight items are among the first ten
    assert low <= value <= high
    gain = back["rows"]["fused"]["R@1"][0] - back["rows"]["global"]["R@1"][0]
    assert back["gain R@1"][0] == pytest.approx(gain, abs=1e-3)


def test_queries_can_be_set_aside(photos: Path, tmp_path: Path) -> None:
    checkpoint, out, aside = (tmp_path / name for name in ("c.safetensors", "f.json", "aside.csv"))
    create_checkpoint(checkpoint, preset="tiny", photos=sorted(photos.glob("*-main.png")))
    aside.write_text("product_id,color,view\nwide,navy,back\nslim,olive,back\nslim,navy,alt\n")
    options = ["--photos", photos, "--checkpoint", checkpoint, "--out", out, "--aside", aside]
    shown = CliRunner().invoke(app, ["probes", *map(str, options)])
    assert shown.exit_code == 0, shown.output
    story = json.loads(out.read_text())
    assert story["figures"]["back"]["queries"] == 8
    without = story["without"]["figures"]
    assert (without["back"]["queries"], without["alt"]["queries"]) == (6, 7)
    aside.write_text("product_id,color,view\nwide,pink,back\n")
    shown = CliRunner().invoke(app, ["probes", *map(str, options)])
    assert "1 queries are to be set aside, 0 of them" in str(shown.exception)


def test_nothing_to_measure_is_a_sentence(photos: Path) -> None:
    shown = CliRunner().invoke(app, ["probes", "--photos", str(photos)])
    assert "give --checkpoint, or both --fit and --init" in str(shown.exception)
