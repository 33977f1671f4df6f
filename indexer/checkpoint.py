"""Which weights a build uses: the options of the command line become one checkpoint file."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from indexer.files import hash_file, write_atomic
from indexer.manifest import Manifest
from indexer.progress import Progress
from indexer.protocols import EncoderLike
from model.errors import ParameterError
from model.shipped import shipped_checkpoint

DEFAULT_PRESET = "mga-b0"
DEFAULT_INIT = "random"
FIT_SAMPLE = 500


class EncoderSource(Protocol):
    """Loads the encoder that belongs to an existing index."""

    def load(self, checkpoint: Path) -> EncoderLike:
        """Load the encoder; `checkpoint` is the index's own copy."""


class EncoderPlan(EncoderSource, Protocol):
    """How a build comes by its encoder, and whether an existing index used the same one."""

    def describe(self) -> dict[str, Any]:
        """Write the plan down; equal plans make equal checkpoints from equal photos."""

    def matches(self, manifest: Manifest) -> bool:
        """Say whether this index was made by this plan."""

    def write(self, target: Path, photos: Sequence[Path], progress: Progress) -> None:
        """Write the checkpoint file; it appears complete or not at all."""


@dataclass(frozen=True)
class CheckpointChoice:
    """The options of a build: a finished `checkpoint`, or a `preset` with weights to start from.

    With none of them, a new index gets the checkpoint that comes with the program, and an
    existing one keeps what it has. `init` is `random`, `imagenet` or a weights file.
    """

    checkpoint: Path | None = None
    preset: str | None = None
    init: str | None = None
    fit_centres: bool | None = None
    device: str = "auto"
    runtime: str = "eager"

    def __post_init__(self) -> None:
        if self.checkpoint and self._is_made:
            raise ParameterError(
                "--checkpoint is complete in itself; leave out --preset, --init and --fit-centres"
            )
        if self.checkpoint and not self.checkpoint.is_file():
            raise ParameterError(f"--checkpoint {self.checkpoint} is not a file; check the path")
        if self.init not in (None, "random", "imagenet") and not Path(str(self.init)).is_file():
            raise ParameterError(
                f"--init {self.init} is neither random nor imagenet nor a weights file"
            )

    @property
    def _is_made(self) -> bool:
        return (self.preset, self.init, self.fit_centres) != (None, None, None)

    def find_file(self) -> Path | None:
        """The finished checkpoint to use; None when one is to be made."""
        return None if self._is_made else self.checkpoint or shipped_checkpoint()

    def describe(self) -> dict[str, Any]:
        file = self.find_file()
        if file:
            return {"checkpoint": hash_file(file)}
        init = self.init or DEFAULT_INIT
        return {
            "preset": self.preset or DEFAULT_PRESET,
            "init": init if init in ("random", "imagenet") else hash_file(Path(init)),
            "fit_centres": self.fit_centres is not False,
        }

    def matches(self, manifest: Manifest) -> bool:
        if self.checkpoint:
            return manifest.checkpoint_sha256 == hash_file(self.checkpoint)
        return not self._is_made or manifest.recipe == self.describe()

    def write(self, target: Path, photos: Sequence[Path], progress: Progress) -> None:
        resolve_checkpoint(self, target, photos, progress)

    def load(self, checkpoint: Path) -> EncoderLike:
        return load_encoder(checkpoint, self.device, self.runtime)


@dataclass(frozen=True)
class GivenEncoder:
    """An encoder that is loaded already, and the file it came from."""

    encoder: EncoderLike
    checkpoint: Path | None = None

    def describe(self) -> dict[str, Any]:
        return {"fingerprint": self.encoder.fingerprint}

    def matches(self, manifest: Manifest) -> bool:
        return manifest.fingerprint == self.encoder.fingerprint

    def write(self, target: Path, photos: Sequence[Path], progress: Progress) -> None:
        if self.checkpoint:
            copy_checkpoint(self.checkpoint, target)

    def load(self, checkpoint: Path) -> EncoderLike:
        return self.encoder


@dataclass(frozen=True)
class StoredCheckpoint:
    """The copy that lies in the index, or a file that has to be the same checkpoint."""

    checkpoint: Path | None = None
    device: str = "auto"
    runtime: str = "eager"

    def load(self, checkpoint: Path) -> EncoderLike:
        return load_encoder(self.checkpoint or checkpoint, self.device, self.runtime)


def resolve_checkpoint(
    choice: CheckpointChoice, target: Path, photos: Sequence[Path], progress: Progress
) -> None:
    """Make `target` from the options: copy a checkpoint, or create one.

    `photos` is the sample that centres are fitted on, when that is asked for.
    """
    file = choice.find_file()
    if file:
        copy_checkpoint(file, target)
        return
    from model.fit import create_checkpoint  # torch is slow to load, and only this needs it

    fit = choice.fit_centres is not False
    progress.begin("Making the checkpoint", None)
    done = 0

    def report(count: int, total: int) -> None:
        nonlocal done
        if not done:
            progress.begin("Fitting centres", total)
        progress.advance(count - done)
        done = count

    create_checkpoint(
        target,
        preset=choice.preset or DEFAULT_PRESET,
        init=choice.init or DEFAULT_INIT,
        photos=photos if fit else None,
        progress=report,
    )


def copy_checkpoint(source: Path, target: Path) -> None:
    """Copy a checkpoint file into the index."""

    def copy(temporary: Path) -> None:
        shutil.copyfile(source, temporary)

    write_atomic(target, copy)


def load_encoder(checkpoint: Path, device: str = "auto", runtime: str = "eager") -> EncoderLike:
    """Load an encoder; CheckpointError, DeviceError or ParameterError says what is wrong."""
    from model.encoder import Encoder  # torch is slow to load, and only this needs it

    return Encoder.from_checkpoint(checkpoint, device, runtime)
