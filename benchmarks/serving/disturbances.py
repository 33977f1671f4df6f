"""What an operator does while customers search: reload, maintenance, a new build of the gallery."""

import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import cycle
from pathlib import Path
from urllib.parse import quote

from benchmarks.serving.arithmetic import at_most, percentile
from benchmarks.serving.generator import Told
from benchmarks.serving.phases import Bench, Figures, Phase, summarise
from model.errors import DataError

RELOAD_EVERY_S = 0.2
# A load as long as what is done beside it is made of pieces of this length.
PIECE_S = 3.0
# More changes than this without maintenance: it does not come.
MOST_CHANGES = 1500
# What follows a new recall index: it is swapped in, and files are merged.
SETTLE_S = 2.0


def reload_often(bench: Bench) -> Phase:
    """POST /gallery/reload again and again."""

    def reload() -> Figures:
        until, times = time.monotonic() + bench.seconds, 0
        while time.monotonic() < until:
            bench.service.client.post("/gallery/reload").raise_for_status()
            times += 1
            time.sleep(RELOAD_EVERY_S)
        return {"reloads": times}

    return disturb(bench, "reload", reload)


def maintain(bench: Bench, index: Path) -> Phase:
    """Change items until the recall index is built anew and the files are merged."""
    item_ids = find_items(bench)

    def change() -> Figures:
        before, changes = find_index_time(index), 0
        for item_id in cycle(item_ids):
            if find_index_time(index) != before:
                break
            if changes == MOST_CHANGES:
                raise DataError(f"{changes} changes, and the recall index was not built anew")
            path, uri = f"/items/{quote(item_id, safe='')}", f"benchmark/{changes}.jpg"
            bench.service.client.put(path, json={"uri": uri}).raise_for_status()
            changes += 1
        time.sleep(SETTLE_S)
        return {"changes": changes}

    return disturb(bench, "maintenance", change)


def take_over_build(bench: Bench, index: Path, photos: Path) -> Phase:
    """Another process publishes a build of other photos, and the service swaps it in."""
    count = sum(1 for _ in photos.iterdir())

    def build() -> Figures:
        command = [sys.executable, "-m", "indexer", "build", str(photos), "--index", str(index)]
        checkpoint = ["--overwrite", "--checkpoint", str(index / "checkpoint.safetensors")]
        done = subprocess.run([*command, *checkpoint], capture_output=True, text=True, check=False)
        if done.returncode:
            raise DataError(f"the gallery was not built anew: {done.stderr[-300:]}")
        bench.service.client.post("/gallery/reload").raise_for_status()
        # Searches that began before may still be answered from the old build.
        found = bench.service.client.get("/info").raise_for_status().json()["gallery"]["items"]
        if found != count:
            raise DataError(f"the service has {found} items after the new build of {count}")
        return {"items": count}

    return disturb(bench, "a new build taken over", build)


def disturb(bench: Bench, name: str, act: Callable[[], Figures]) -> Phase:
    """Search while `act` runs in another thread, and before it; raises what `act` raises."""
    quiet = _search_for(bench, bench.seconds)
    disturbed, failures, versions = list[float](), 0, set[int]()
    with ThreadPoolExecutor(1) as pool:
        start = time.monotonic()
        acting = pool.submit(act)
        while not acting.done() or not disturbed:
            told = _search_for(bench, PIECE_S)
            disturbed += told.list_ms()
            failures += told.count_other(200)
            versions |= set(told.versions)
        figures = {**acting.result(), "seconds": time.monotonic() - start}
    slowest, before = max(disturbed), max(quiet.list_ms())
    figures |= {
        "quiet_ms": summarise(quiet.list_ms()),
        "disturbed_ms": summarise(disturbed),
        "slowest / slowest before": slowest / before,
        "gallery_versions": len(versions),
    }
    note = (
        f"{len(disturbed)} searches; p50 {percentile(disturbed, 0.5):.0f} ms, slowest "
        f"{slowest:.0f} ms; before {percentile(quiet.list_ms(), 0.5):.0f} and {before:.0f} ms"
    )
    return Phase([at_most(f"failures during {name}", failures, 0, "", note)], figures)


def find_items(bench: Bench) -> list[str]:
    """Ids of up to 1000 items, the nearest to one photo."""
    with open(bench.searches.photos[0], "rb") as photo:
        answer = bench.service.client.post("/search", files={"image": photo}, data={"k": "1000"})
    return [hit["item_id"] for hit in answer.raise_for_status().json()["hits"]]


def find_index_time(index: Path) -> float:
    """When the newest recall index of a folder was written; 0 while there is none."""
    return max((file.stat().st_mtime for file in index.rglob("recall.faiss")), default=0.0)


def _search_for(bench: Bench, seconds: float) -> Told:
    """Half as many clients as searches are computed at a time: what is done beside needs room."""
    stream = replace(bench.searches, clients=max(1, bench.workers // 2), seconds=seconds)
    return bench.load(stream).told[0]
