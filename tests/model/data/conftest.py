"""Miniatures in the exact official layouts, drawn in code."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

PARTITION = "image_name item_id evaluation_status"
PAIRS = "image_pair_name_1 image_pair_name_2 item_id evaluation_status"
INSHOP_BOXES = "image_name clothes_type pose_type x_1 y_1 x_2 y_2"
C2S_BOXES = "image_name clothes_type source_type x_1 y_1 x_2 y_2"
INSHOP_ITEMS = {"train": range(1, 7), "test": range(7, 10)}
C2S_ITEMS = {"train": range(1, 6), "val": range(6, 8), "test": range(8, 11)}


def draw(path: Path, size: tuple[int, int] = (64, 64), seed: int = 0) -> Path:
    """A smooth colour field of its own."""
    path.parent.mkdir(parents=True, exist_ok=True)
    seeds = np.random.default_rng(seed).integers(0, 255, (4, 4, 3), dtype=np.uint8)
    Image.fromarray(seeds).resize(size, Image.Resampling.BICUBIC).save(path)
    return path


def write_list(path: Path, columns: str, rows: Iterable[tuple[object, ...]]) -> None:
    """The official text format: count, column names (if any), cells between runs of spaces."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = list(rows)
    lines = [str(len(rows))] + (["  ".join(columns.split())] if columns else [])
    lines += ["     ".join(str(cell) for cell in row) + "  " for row in rows]
    path.write_text("\n".join(lines) + "\n")


def replace_line(path: Path, number: int, text: str) -> None:
    """Put another text in line `number`, counted from 1."""
    lines = path.read_text().splitlines()
    lines[number - 1] = text
    path.write_text("\n".join(lines) + "\n")


@pytest.fixture
def inshop(tmp_path: Path) -> Path:
    """In-Shop with 6 training and 3 test items; item 1 has a single photo."""
    root = tmp_path / "In-shop Clothes Retrieval Benchmark"
    rows, boxes = [], []
    for item in (*INSHOP_ITEMS["train"], *INSHOP_ITEMS["test"]):
        for view in range(1, 2 if item == 1 else 4):
            name = f"img/WOMEN/Dresses/id_{item:08}/0{view}_1_front.jpg"
            test = "gallery" if view == 3 else "query"
            rows.append((name, f"id_{item:08}", "train" if item < 7 else test))
            boxes.append((name, 3, 1, 64, 16, 192, 240))
            draw(root / "Img" / name, (256, 256), item)
            draw(root / "Img" / name.replace("img/", "img_highres/", 1), (300, 600), item)
    write_list(root / "Eval/list_eval_partition.txt", PARTITION, rows)
    write_list(root / "Anno/list_bbox_inshop.txt", INSHOP_BOXES, boxes)
    write_list(root / "Anno/list_item_inshop.txt", "", [(f"id_{k:08}",) for k in range(1, 10)])
    return root


@pytest.fixture
def c2s(tmp_path: Path) -> Path:
    """Consumer-to-Shop with 5, 2 and 3 items of 2 consumer and 2 shop photos, all paired."""
    root = tmp_path / "Consumer-to-shop Clothes Retrieval Benchmark"
    pairs, boxes = [], []
    for status, items in C2S_ITEMS.items():
        for item in items:
            folder = f"img/DRESSES/Skirt/id_{item:08}"
            asked = [f"{folder}/comsumer_0{k}.jpg" for k in (1, 2)]
            shown = [f"{folder}/shop_0{k}.jpg" for k in (1, 2)]
            pairs += [(a, b, f"id_{item:08}", status) for a in asked for b in shown]
            boxes += [(name, 2, 2, 20, 30, 100, 120) for name in asked]
            boxes += [(name, 2, 1, 20, 30, 100, 120) for name in shown]
            for name in (*asked, *shown):
                draw(root / "Img" / name, (225, 300), item)
    write_list(root / "Eval/list_eval_partition.txt", PAIRS, pairs)
    write_list(root / "Anno/list_bbox_consumer2shop.txt", C2S_BOXES, boxes)
    items_file = root / "Anno/list_item_consumer2shop.txt"
    write_list(items_file, "", [(f"id_{k:08}",) for k in range(1, 11)])
    return root
