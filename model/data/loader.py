"""Batches from disk, read ahead by others; the same bytes whoever and however many they are."""

from collections.abc import Generator, Sequence
from itertools import islice
from types import TracebackType
from typing import Self

from model.data.augment import View, instance_view, train_view
from model.data.crew import Crew, Loaded, Processes, Threads
from model.data.filling import Filler, Order
from model.data.records import Photo
from model.data.sampler import ItemSampler
from model.errors import ParameterError
from model.preprocessing import Preprocessing

# Threads that load where no processes do.
THREADS = 2
# Bytes of decoded photos that are kept for the next epoch, by all workers together.
ROOM = 1 << 30


class Loader:
    """Every slot is drawn by lots of (seed, epoch, step, slot), never of time or worker.

    Use it as a context manager, or `close` it: processes stay from epoch to epoch.
    """

    def __init__(
        self,
        photos: Sequence[Photo],
        sampler: ItemSampler,
        preprocessing: Preprocessing,
        *,
        views: Sequence[View] | None = None,
        workers: int = 0,
        prefetch: int = 2,
        room: int = ROOM,
    ) -> None:
        """`views` are the augmentations (default: the sampler's kind of training view).

        With several, an item's slots are divided among them in order; for processes they
        have to be functions of a module.

        `workers` are processes, for which a script needs `if __name__ == "__main__":`; 0 loads
        by two threads of this one. `prefetch` batches are
        held in memory beside the one in use, and decoded photos of `room` bytes.
        """
        if workers < 0 or prefetch < 1 or room < 0:
            raise ParameterError(
                f"the loader has {workers} workers, reads {prefetch} batches ahead and keeps "
                f"{room} bytes; expected 0 or more workers, 1 or more batches, 0 or more bytes"
            )
        self.sampler = sampler
        side, slots = preprocessing.image_size, sampler.num_items * sampler.num_photos
        self._shape = slots, side, side, 3
        self.order = Order(
            photos,
            preprocessing,
            tuple(views or ((instance_view,) if sampler.views else (train_view,))),
            sampler.seed,
            sampler.num_photos,
            room // max(1, workers),
        )
        self._prefetch = prefetch
        self._filler = Filler(self.order)
        self._processes = Processes(self.order, self._shape, workers, prefetch) if workers else None

    def __len__(self) -> int:
        """Count the batches of an epoch."""
        return len(self.sampler)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the processes; the loader is of no use afterwards."""
        if self._processes is not None:
            self._processes.close()

    def batches(self, epoch: int, start: int = 0) -> Generator[Loaded]:
        """Load the batches of an epoch in order, from step `start` on; one such reader at a time.

        Raises:
            ImageError, DataError: when the batch with the faulty photo is due.
            TrainingError: a process that loads was killed.
        """
        plan = iter(self.sampler.batches(epoch)[start:])
        crew: Crew = self._processes or Threads(self._filler, self._shape, THREADS)
        try:
            begun = 0
            for batch in islice(plan, self._prefetch):
                crew.begin(epoch, batch)
                begun += 1
            while begun:
                loaded = crew.finish()
                begun -= 1
                for batch in islice(plan, 1):
                    crew.begin(epoch, batch)
                    begun += 1
                yield loaded
        finally:
            # Also when the reader of this generator goes away early.
            crew.leave()
