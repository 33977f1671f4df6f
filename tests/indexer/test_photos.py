"""Folders and CSVs become the same photos in the same order, or a sentence."""

import os
from datetime import date, datetime
from pathlib import Path

import pytest

from indexer.listing import count_photos, read_listing, read_sample, write_listing
from indexer.photos import Photo, open_source
from model.errors import SourceError
from tests.indexer.fakes import draw_photo


def write_csv(folder: Path, text: str, name: str = "gallery.csv", encoding: str = "utf-8") -> Path:
    path = folder / name
    path.write_bytes(text.encode(encoding))
    return path


def read(path: Path, **columns: str) -> list[Photo]:
    return list(open_source(path, **columns))


def test_a_folder_is_walked_in_sorted_order_without_hidden_files(tmp_path):
    for name in ("b/2.PNG", "a.jpg", "b/1.webp", ".hidden.jpg", ".git/x.jpg", "notes.txt"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
    assert [photo.item_id for photo in read(tmp_path)] == ["a.jpg", "b/1.webp", "b/2.PNG"]


def test_a_folder_makes_each_photo_its_own_product(photos):
    assert all(photo.product_id == photo.item_id for photo in read(photos))


def test_links_that_go_in_a_circle_end(tmp_path):
    draw_photo(tmp_path / "a" / "x.jpg", 1)
    (tmp_path / "a" / "back").symlink_to(tmp_path)
    assert [photo.item_id for photo in read(tmp_path)] == ["a/x.jpg"]


def test_names_with_spaces_emoji_and_broken_bytes_are_listed(tmp_path):
    for name in (b"my shirt.jpg", "👕.jpg".encode(), b"caf\xe9.jpg"):
        Path(os.fsdecode(os.path.join(os.fsencode(tmp_path), name))).touch()
    assert {photo.item_id for photo in read(tmp_path)} == {
        "my shirt.jpg", "👕.jpg", "caf\\xe9.jpg",
    }  # fmt: skip


def test_gallery_csv_in_a_folder_is_picked_up(tmp_path):
    write_csv(tmp_path, "image,product_id\nx/1.jpg,P1\nx/2.jpg,P1\n")
    photos = read(tmp_path)
    assert [(photo.item_id, photo.product_id) for photo in photos] == [
        ("x/1.jpg", "P1"), ("x/2.jpg", "P1"),
    ]  # fmt: skip
    assert photos[0].path == tmp_path / "x/1.jpg"


def test_metadata_columns_get_the_type_that_fits_every_row(tmp_path):
    path = write_csv(
        tmp_path,
        "image,price,size,sale,day,at,code,ean,note\n"
        "1.jpg,52,1,true,2024-05-31,2024-05-31 12:00:00,007,1234567890123456789012,a\n"
        "2.jpg,9.5,,False,,,12,1,\n",
    )
    source = open_source(path)
    assert source.metadata == {
        "price": "float", "size": "int", "sale": "bool", "day": "date", "at": "timestamp",
        "code": "string", "ean": "string", "note": "string",
    }  # fmt: skip
    first, second = source
    assert first.metadata["day"] == date(2024, 5, 31)
    assert first.metadata["at"] == datetime(2024, 5, 31, 12)
    assert first.metadata["price"] == 52.0
    assert first.metadata["code"] == "007"
    assert second.metadata["size"] is second.metadata["note"] is None


def test_a_type_is_found_over_all_blocks_of_a_large_file(tmp_path):
    lines = "".join(f"{i}.jpg,{i}{' ' * 40}\n" for i in range(40_000))
    path = write_csv(tmp_path, f"image,n\n{lines}last.jpg,many\n")
    assert open_source(path).metadata == {"n": "string"}


def test_columns_can_be_named(tmp_path):
    path = write_csv(tmp_path, "sku,style,foto\nA1,S,a.jpg\nA2,S,b.jpg\n")
    photos = read(path, image_column="foto", product_column="style", id_column="sku")
    assert [(p.item_id, p.product_id, p.path.name) for p in photos] == [
        ("A1", "S", "a.jpg"), ("A2", "S", "b.jpg"),
    ]  # fmt: skip
    assert photos[0].metadata == {}


def test_the_only_column_with_image_names_is_taken_for_the_image(tmp_path):
    path = write_csv(tmp_path, "foto,name\na.jpg,A\n")
    assert [photo.item_id for photo in read(path)] == ["a.jpg"]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_delimiters_byte_order_mark_and_quotes_are_understood(tmp_path, delimiter):
    text = f'\ufeffimage{delimiter}name\na.jpg{delimiter}"two\nlines"\n'
    [photo] = read(write_csv(tmp_path, text))
    assert photo.metadata == {"name": "two\nlines"}


def test_a_csv_may_name_photos_elsewhere(tmp_path):
    (tmp_path / "tables").mkdir()
    path = write_csv(tmp_path / "tables", f"image\n../a.jpg\n{tmp_path}/b.jpg\n")
    assert [photo.path.resolve().name for photo in read(path)] == ["a.jpg", "b.jpg"]


@pytest.mark.parametrize(
    ("text", "columns", "sentence"),
    [
        ("", {}, r"is empty; expected a header line"),
        ("name\nA\n", {}, r"no column image .*--image-column"),
        ("image\na.jpg\n", {"id_column": "sku"}, r"no column 'sku'; its columns are image"),
        ("image\na.jpg\na.jpg\n", {}, r"id 'a.jpg' twice, in rows 1 and 2"),
        ("image,uri\na.jpg,x\n", {}, r"column 'uri', a name the gallery keeps"),
        ("image,item_id\na.jpg,x\n", {}, r"use --id-column item_id"),
        ("image,Tokens\na.jpg,x\n", {}, r"column 'Tokens'"),
        ("image,a.b\na.jpg,x\n", {}, r"'a.b'; a name needs a letter and may not contain a dot"),
        ("image,\na.jpg,x\n", {}, r"column named ''"),
        ("image,x,x\na.jpg,1,2\n", {}, r"column 'x' twice"),
        ("image,x\na.jpg\n", {}, r"cannot be read as CSV: .*Expected 2 columns, got 1"),
    ],
)
def test_an_unusable_csv_is_refused_with_a_sentence(tmp_path, text, columns, sentence):
    with pytest.raises(SourceError, match=sentence):
        read(write_csv(tmp_path, text), **columns)


@pytest.mark.parametrize("text", ["image,näme\na.jpg,1\n", "image,name\na.jpg,é\n"])
def test_a_csv_in_another_encoding_is_refused(tmp_path, text):
    with pytest.raises(SourceError, match="not UTF-8"):
        read(write_csv(tmp_path, text, encoding="latin-1"))


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        (",A", "column image is empty"),
        ("a.jpg,", "column sku is empty"),
        ("https://shop/a.jpg,A", "a web address"),
    ],
)
def test_an_unusable_row_fails_alone(tmp_path, row, problem):
    path = write_csv(tmp_path, f"image,sku\n{row}\nb.jpg,B\n")
    bad, good = read(path, id_column="sku")
    assert bad.problem is not None
    assert problem in bad.problem
    assert good.problem is None


def test_a_folder_without_photos_is_refused(tmp_path):
    with pytest.raises(SourceError, match="has no photos"):
        count_photos(open_source(tmp_path))


def test_a_missing_source_is_refused(tmp_path):
    with pytest.raises(SourceError, match="does not exist"):
        open_source(tmp_path / "nowhere")


def test_column_options_without_a_csv_are_refused(photos):
    with pytest.raises(SourceError, match="--id-column sku names a column"):
        open_source(photos, id_column="sku")


def test_a_listing_gives_the_same_photos_from_any_start(tmp_path):
    text = "".join(f"{i}.jpg,{i / 2}\n" for i in range(2500)) + ",1\n"
    source = open_source(write_csv(tmp_path, "image,price\n" + text))
    count, digest = count_photos(source)
    write_listing(source, tmp_path / "photos.arrow", digest)
    everything = list(source)
    assert count == 2501
    for start in (0, 1, 1023, 1024, 2500):
        assert list(read_listing(tmp_path / "photos.arrow", start)) == everything[start:]


@pytest.mark.parametrize(
    ("size", "numbers"),
    [(5, [0, 4, 8, 12, 16]), (8, [0, 3, 5, 8, 10, 13, 15, 18]), (50, range(20))],
)
def test_a_sample_is_spread_evenly_and_always_the_same(photos, tmp_path, size, numbers):
    source = open_source(photos)
    write_listing(source, tmp_path / "photos.arrow", count_photos(source)[1])
    everything = [photo.path for photo in source]
    sample = read_sample(tmp_path / "photos.arrow", 20, size)
    assert sample == [everything[number] for number in numbers]


def test_a_source_that_changes_while_it_is_listed_is_refused(photos, tmp_path):
    source = open_source(photos)
    _, digest = count_photos(source)
    draw_photo(photos / "new.jpg", 99)
    with pytest.raises(SourceError, match="changed while it was listed"):
        write_listing(source, tmp_path / "photos.arrow", digest)
    assert not (tmp_path / "photos.arrow").exists()
