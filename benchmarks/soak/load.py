"""The mixed load: clients that write and look at once at what they did, search, and operate."""

import json
import time
from collections.abc import Callable, Mapping
from typing import Any

import httpx

from benchmarks.soak.client import K, Worker, World, to_path
from benchmarks.soak.gallery import MARK
from benchmarks.soak.journal import Change, State, Value
from indexer.update import remove
from model.errors import GalleryBusyError

MOST_AT_ONCE = 8


class Writer(Worker):
    """Adds, replaces and removes; afterwards looks at what it did."""

    def __init__(self, world: World, seed: int) -> None:
        super().__init__(world, seed)
        self._count = 0
        self._name = seed

    def step(self) -> None:
        many = len(self.world.journal) > self.world.target
        kinds: dict[Callable[[], None], int] = {
            self._add: 10 if many else 30,
            self._add_many: 2 if many else 10,
            self._replace: 25,
            self._remove: 45 if many else 10,
        }
        [work] = self.rng.choices(list(kinds), list(kinds.values()))
        work()

    def _add(self) -> None:
        """A new item, one that was removed before, or one that exists and is replaced."""
        roll = self.rng.random()
        known = None if roll < 0.6 else self.world.journal.take(self.rng, present=roll > 0.8)
        self._post("add one", [known or self._make_id()])

    def _add_many(self) -> None:
        count = self.rng.randint(2, MOST_AT_ONCE)
        self._post("add many", [self._make_id() for _ in range(count)])

    def _post(self, operation: str, item_ids: list[str]) -> None:
        drawn = [self.world.photos.draw_next() for _ in item_ids]
        after = {
            name: self._label(digest) for name, (digest, _) in zip(item_ids, drawn, strict=True)
        }
        items = [{"item_id": name, **_facts(value)} for name, value in after.items()]
        files = [("image", photo) for _, photo in drawn]
        body = {"data": {"items": json.dumps(items)}, "files": files}
        self._change(operation, "POST", "/items?atomic=true", after, body)

    def _replace(self) -> None:
        """Another photo, other metadata, or both."""
        item_id = self.world.journal.take(self.rng, present=True)
        if item_id is None:
            return
        before, body = self.world.journal.find(item_id), dict[str, Any]()
        assert before is not None
        digest, label = before.photo, before
        parts = self.rng.choice(["photo", "metadata", "both"])
        if parts != "metadata":
            digest, photo = self.world.photos.draw_next()
            body["files"] = {"image": photo}
        if parts != "photo":
            label = self._label(digest)
            body["data"] = {"item": json.dumps(_facts(label))}
            if parts == "metadata":
                body = {"json": _facts(label)}
        after = label._replace(photo=digest)
        self._change(f"replace {parts}", "PUT", to_path(item_id), {item_id: after}, body)

    def _remove(self) -> None:
        item_id = self.world.journal.take(self.rng, present=True)
        if item_id is not None:
            self._change("delete", "DELETE", to_path(item_id), {item_id: None}, {})

    def _change(
        self,
        operation: str,
        method: str,
        path: str,
        after: Mapping[str, State],
        body: dict[str, Any],
    ) -> None:
        change = self.world.journal.begin(after)
        try:
            response = self.send(operation, method, path, **body)
        except httpx.ConnectError:
            self._finish(change, done=False)
            raise
        if response is None or response.status_code == 500:
            return  # done or not: the gallery says so after the restart
        if response.status_code == 404:
            self.complain("lost", f"{method} {path}: 404, but {change.before} was acknowledged")
        self._finish(change, done=response.status_code == 200)

    def _finish(self, change: Change, *, done: bool) -> None:
        journal = self.world.journal
        (journal.acknowledge if done else journal.refuse)(change)
        try:
            if done:
                for name, state in list(change.after.items())[:2]:
                    before = change.before[name]
                    self.look_at(name, state, before.photo if before else None)
        finally:
            journal.give_back(change.after)

    def _make_id(self) -> str:
        self._count += 1
        return f"soak/{self._name}-{self._count} 👗"

    def _label(self, digest: str) -> Value:
        mark = self.rng.randrange(10**9)
        return Value(digest, f"product {mark}", mark if self.world.is_marked else None)


class Searcher(Worker):
    """Searches in every way there is, and pages on."""

    def __init__(self, world: World, seed: int) -> None:
        super().__init__(world, seed)
        self._query_id = ""

    def step(self) -> None:
        kinds = [self._by_photo, self._by_item, self._by_query, self._by_pages, self._by_filter]
        self.rng.choice(kinds)()

    def _by_photo(self) -> None:
        self._remember(self.search_photo("search by photo", self._pick_photo()))

    def _by_item(self) -> None:
        if (item_id := self._pick_item()) is not None:
            form = {"item_id": item_id, "k": K}
            self.search("search by item", time.monotonic(), data=form)

    def _by_query(self) -> None:
        if self._query_id:
            form = {"query_id": self._query_id, "k": K, "explain": 2}
            self.search("search by query", time.monotonic(), data=form)

    def _by_pages(self) -> None:
        """A page stays on the version of the first, whatever is changed in between."""
        first = self._remember(self.search_photo("first page", self._pick_photo()))
        if not first or not first["cursor"]:
            return
        response = self.send("next page", "POST", "/search", data={"cursor": first["cursor"]})
        if response is None or response.status_code != 200:
            return
        pages = [first, response.json()]
        if len({page["gallery"]["version"] for page in pages}) > 1:
            self.complain("paging", "the second page is of another version than the first")
        found = [hit["item_id"] for page in pages for hit in page["hits"]]
        if len(set(found)) < len(found):
            self.complain("paging", f"two pages of one search have items twice: {found}")

    def _by_filter(self) -> None:
        form = {"k": K, "filter": "item_id LIKE 'soak/%'", "group_by": "product"}
        files = {"image": self._pick_photo()}
        self.search("search with filter", time.monotonic(), data=form, files=files)

    def _remember(self, answer: dict[str, Any] | None) -> dict[str, Any] | None:
        if answer and answer["query_id"]:
            self._query_id = answer["query_id"]
        return answer

    def _pick_item(self) -> str | None:
        return next(iter(self._shuffle()), None)

    def _pick_photo(self) -> bytes:
        states = (self.world.journal.find(name) for name in self._shuffle())
        found = (self.world.photos.find(state.photo) for state in states if state)
        return next((photo for photo in found if photo), None) or self.world.photos.draw_next()[1]

    def _shuffle(self) -> list[str]:
        there = [name for name, state in self.world.journal.items().items() if state]
        return self.rng.sample(there, min(20, len(there)))


class Operator(Worker):
    """Reloads; and removes an item from another process, as the command line does."""

    def __init__(self, world: World, seed: int) -> None:
        super().__init__(world, seed, pause_s=1.0)

    def step(self) -> None:
        if self.rng.random() < 0.1:
            self._remove_outside()
        self.send("reload", "POST", "/gallery/reload")

    def _remove_outside(self) -> None:
        journal = self.world.journal
        item_id = journal.take(self.rng, present=True)
        if item_id is None:
            return
        change, begun = journal.begin({item_id: None}), time.monotonic()
        try:
            remove([item_id], self.world.index)
        except GalleryBusyError:
            journal.refuse(change)
            self.world.tally.count("delete by another process", "busy", 0.0)
        else:
            self.world.tally.count("delete by another process", "200", time.monotonic() - begun)
            self._take_over(change)
        journal.give_back([item_id])

    def _take_over(self, change: Change) -> None:
        """The service knows of it once it has reloaded; only then it may find it no more."""
        try:
            response = self.send("reload", "POST", "/gallery/reload")
        finally:
            self.world.journal.acknowledge(change)
        if response is not None and response.status_code == 200:
            [(item_id, before)] = change.before.items()
            self.look_at(item_id, None, before.photo if before else None)


def _facts(value: Value) -> dict[str, Any]:
    metadata = {} if value.mark is None else {MARK: value.mark}
    return {"product_id": value.product, "metadata": metadata}
