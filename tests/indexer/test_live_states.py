"""After any sequence of changes, a living gallery equals one that is built afresh."""

import random
from pathlib import Path

import numpy as np
import pytest

from indexer.checkpoint import GivenEncoder
from indexer.gallery import EmbeddedGallery
from indexer.update import add as add_by_command
from indexer.update import remove as remove_by_command
from indexer.verify import verify
from tests.indexer.conftest import small
from tests.indexer.fakes import FakeEncoder, unit
from tests.indexer.live import build_afresh, draw, item, open_gallery, read_dataset, read_state


class Story:
    """A gallery under random changes, and what it should contain by now."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder, self.random = folder, random.Random(seed)
        self.content = {f"old/{number}.png": number for number in range(12)}
        build_afresh(folder, self.content)
        self.gallery = open_gallery(folder / "index")
        self.number = 1000

    def draw_number(self) -> int:
        self.number += 1
        return self.number

    def some(self, most: int) -> list[str]:
        names = sorted(self.content)
        return self.random.sample(names, min(self.random.randint(1, most), len(names) - 1))

    def add(self) -> None:
        numbers = [self.draw_number() for _ in range(self.random.randint(1, 3))]
        new = {f"new/{number} é.png": number for number in numbers}
        if self.random.random() < 0.3:
            new[self.some(1)[0]] = self.draw_number()
        report = self.gallery.add([item(name, number) for name, number in new.items()])
        self.content.update(new)
        assert report.items == len(self.content)

    def replace(self) -> None:
        new = {name: self.draw_number() for name in self.some(3)}
        self.gallery.replace([item(name, number) for name, number in new.items()])
        self.content.update(new)

    def remove(self) -> None:
        names = self.some(3)
        self.gallery.remove(names)
        for name in names:
            del self.content[name]

    def bring_back(self) -> None:
        """Remove an item and add it again with another photo."""
        [name] = self.some(1)
        self.gallery.remove([name])
        self.content[name] = self.draw_number()
        self.gallery.add([item(name, self.content[name])])

    def maintain(self) -> None:
        self.gallery.maintain(force=self.random.random() < 0.7)

    def open_again(self) -> None:
        """What a killed process leaves is all that the next one has."""
        self.gallery = open_gallery(self.folder / "index")

    def change_by_command(self) -> None:
        name, number = f"command/{self.draw_number()}.png", self.number
        photo = self.folder / f"photos-{number}" / name
        photo.parent.mkdir(parents=True)
        photo.write_bytes(draw(number))
        plan = GivenEncoder(FakeEncoder())
        add_by_command(
            self.folder / f"photos-{number}", self.folder / "index", plan, options=small()
        )
        [gone] = self.some(1)
        remove_by_command([gone], self.folder / "index")
        del self.content[gone]
        self.content[name] = number
        if self.random.random() < 0.5:
            assert self.gallery.reload()
        else:
            self.add()

    def go_on(self) -> None:
        steps = [self.add] * 4 + [self.replace, self.remove, self.bring_back] * 2
        steps += [self.maintain, self.open_again, self.change_by_command]
        self.random.choice(steps)()


@pytest.mark.parametrize("seed", range(5))
def test_a_gallery_after_random_changes_equals_a_fresh_one(tmp_path, seed):
    story = Story(tmp_path / "story", seed)
    for round_number in range(3):
        for _ in range(7):
            story.go_on()
            assert set(read_dataset(tmp_path / "story" / "index")) == set(story.content)
        fresh = build_afresh(tmp_path / f"fresh-{round_number}", story.content)
        state = story.gallery.current()
        assert read_state(state) == fresh
        assert state.num_products() == len(story.content)
        with EmbeddedGallery.open(tmp_path / "story" / "index", token_budget_mb=0) as opened:
            assert read_state(opened) == fresh
            assert opened.num_products() == len(story.content)
    assert [p for p in verify(tmp_path / "story" / "index").problems if "photo of" not in p] == []


def test_hits_come_in_the_order_of_a_fresh_gallery(tmp_path):
    story = Story(tmp_path / "story", 99)
    for _ in range(25):
        story.go_on()
    build_afresh(tmp_path / "fresh", story.content)
    state = story.gallery.current()
    queries = unit(np.random.default_rng(0).normal(size=(40, 4)).astype(np.float32))
    with EmbeddedGallery.open(tmp_path / "fresh" / "index") as fresh:
        for one, other in zip(state.recall(queries, 7), fresh.recall(queries, 7), strict=True):
            found = [entry.item_id for entry in state.read_items(one.rows)]
            assert found == [entry.item_id for entry in fresh.read_items(other.rows)]
            np.testing.assert_array_equal(one.scores, other.scores)


def test_an_older_state_answers_as_it_did(tmp_path):
    story = Story(tmp_path / "story", 5)
    states = []
    for _ in range(15):
        story.go_on()
        states.append((story.gallery.current(), read_state(story.gallery.current())))
    for state, content in states:
        assert read_state(state) == content


@pytest.mark.parametrize("token_budget_mb", [0, 2048])
def test_tokens_come_from_memory_or_disk_alike(tmp_path, token_budget_mb):
    content = {f"{number}.png": number for number in range(6)}
    build_afresh(tmp_path / "one", content)
    with open_gallery(tmp_path / "one" / "index", token_budget_mb=token_budget_mb) as gallery:
        gallery.add([item("a", 50), item("0.png", 51)])
        gallery.remove(["1.png"])
        assert gallery.current().has_resident_tokens == bool(token_budget_mb)
        del content["1.png"]
        content.update({"a.png": 50, "0.png": 51})
        fresh = build_afresh(tmp_path / "two", content)
        # The suffix is what lets a folder find the photo.
        named = {("a", "a") if key[0] == "a.png" else key: value for key, value in fresh.items()}
        assert read_state(gallery.current()) == named
