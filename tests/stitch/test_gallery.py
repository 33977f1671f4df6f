"""Galleries on disk: tables match files, reruns are harmless, mistakes are said."""

import csv
import errno
import json
from pathlib import Path

import pytest
from PIL import Image

from stitch import GallerySettings, StitchError, gallery, hard_family, write_gallery
from stitch.gallery import explain, plan_designs

SMALL = GallerySettings(
    products=8, photos_per_product=2, queries=5, seed=3, size=32, hard_families=2
)


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def snapshot(folder: Path) -> dict[str, tuple[bytes, int]]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(p.relative_to(folder)): (p.read_bytes(), p.stat().st_mtime_ns) for p in files}


@pytest.fixture(scope="module")
def drawn(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("drawn")
    write_gallery(out, SMALL, workers=1)
    return out


def test_the_tables_list_exactly_the_files(drawn):
    for name, count in (("gallery", 16), ("queries", 5)):
        listed = [row["image"] for row in read(drawn / name / f"{name}.csv")]
        assert sorted(listed) == sorted(path.name for path in (drawn / name).glob("*.jpg"))
        assert len(listed) == count


def test_rows_carry_product_title_price_and_every_attribute(drawn):
    row = read(drawn / "gallery" / "gallery.csv")[0]
    design = plan_designs(SMALL)[0]
    assert row["product_id"] == "p0001"
    assert row["title"] == design.title
    assert float(row["price"]) > 5
    assert all(row[name] == value for name, value in design.attributes.items())


def test_every_query_shows_a_product_of_the_gallery(drawn):
    products = {row["product_id"] for row in read(drawn / "gallery" / "gallery.csv")}
    assert {row["product_id"] for row in read(drawn / "queries" / "queries.csv")} <= products


def test_photos_are_jpegs_of_the_size_asked_for(drawn):
    with Image.open(drawn / "gallery" / "p0001_shop.jpg") as photo:
        assert (photo.format, photo.size) == ("JPEG", (32, 32))


def test_hard_families_come_first(drawn):
    family = hard_family(3 * 7919, 4, "test")
    assert plan_designs(SMALL)[:4] == list(family.designs)


def test_two_processes_draw_what_one_draws(drawn, tmp_path):
    write_gallery(tmp_path, SMALL, workers=2)
    assert {k: v[0] for k, v in snapshot(tmp_path).items()} == {
        k: v[0] for k, v in snapshot(drawn).items()
    }


def test_a_second_run_touches_no_photo(drawn):
    before = {k: v for k, v in snapshot(drawn).items() if k.endswith(".jpg")}
    write_gallery(drawn, SMALL, workers=1)
    assert {k: v for k, v in snapshot(drawn).items() if k.endswith(".jpg")} == before


def test_an_interrupted_run_ends_with_the_same_bytes(drawn, tmp_path, monkeypatch):
    class Stopped(Exception):
        pass

    def stop(done: int, total: int) -> None:
        raise Stopped

    with pytest.raises(Stopped):
        write_gallery(tmp_path, SMALL, workers=1, on_progress=stop)
    assert not (tmp_path / "gallery" / "gallery.csv").exists()
    write_gallery(tmp_path, SMALL, workers=1)
    assert {k: v[0] for k, v in snapshot(tmp_path).items()} == {
        k: v[0] for k, v in snapshot(drawn).items()
    }


def test_a_folder_of_other_settings_is_refused(drawn):
    other = GallerySettings(products=9, size=32)
    with pytest.raises(StitchError, match="holds a gallery drawn with other settings"):
        write_gallery(drawn, other, workers=1)


def test_a_damaged_manifest_is_refused(tmp_path):
    (tmp_path / "manifest.json").write_text("{")
    with pytest.raises(StitchError, match="draw into another folder"):
        write_gallery(tmp_path, SMALL, workers=1)


def test_the_manifest_says_what_was_drawn(drawn):
    record = json.loads((drawn / "manifest.json").read_text())
    assert (record["drawn_by"], record["products"], record["seed"]) == ("stitch", 8, 3)


def test_a_file_in_the_way_is_said(tmp_path):
    (tmp_path / "out").write_text("")
    with pytest.raises(StitchError, match="is not a folder"):
        write_gallery(tmp_path / "out", SMALL, workers=1)


def test_a_full_disk_is_said_and_leaves_no_half_file(tmp_path, monkeypatch):
    def full(self: Path, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(StitchError, match="is full; free some space or draw fewer"):
        write_gallery(tmp_path, SMALL, workers=1)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


@pytest.mark.parametrize(
    ("number", "sentence"),
    [(errno.EACCES, "choose a folder you may write to"), (errno.EIO, "choose another folder")],
)
def test_other_errors_of_the_disk_are_said(number, sentence):
    assert sentence in explain(OSError(number, "because"), Path("out"))


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"products": 0}, "products is 0; expected 1 or more"),
        ({"photos_per_product": 5}, "expected at most 4"),
        ({"queries": -1}, "queries is -1; expected 0 or more"),
        ({"size": 8}, "size is 8; expected 32 to 2048 pixels"),
        ({"split": "dev"}, "split is 'dev'; expected one of: train, val, test"),
    ],
)
def test_settings_that_cannot_be_drawn_are_refused(wrong, sentence):
    with pytest.raises(StitchError, match=sentence):
        GallerySettings(**wrong)


def test_progress_ends_at_the_total(tmp_path):
    told: list[tuple[int, int]] = []
    settings = GallerySettings(products=2, queries=1, size=32, hard_families=0)
    write_gallery(tmp_path, settings, workers=1, on_progress=lambda *step: told.append(step))
    assert told[-1] == (5, 5)


def test_the_drawing_version_is_part_of_the_settings(drawn, monkeypatch):
    monkeypatch.setattr(gallery, "DRAWING_VERSION", 0)
    with pytest.raises(StitchError, match="other settings"):
        write_gallery(drawn, SMALL, workers=1)
