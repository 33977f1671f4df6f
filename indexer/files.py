"""The files of an index folder: their names, atomic writes, locks, and what a disk can refuse.

    manifest.json            the facts; its rename is what publishes a gallery
    gallery.lance/           the items (Lance), the single source of truth
    checkpoint.safetensors   the weights that encoded them
    codebooks.safetensors    what product codes mean, where tokens are stored as such
    attributes/              heads that read attributes from the tokens, one file or more
    recall.faiss, .json      derived from the items; may be deleted at any time
    failures.csv             photos that could not be read, with the reason
    building.json, photos.arrow   only while a build is unfinished

A rebuild with `--overwrite` writes a second generation (`gallery-2.lance`, ...)
beside the first, so that readers of the old one are never disturbed.
"""

import errno
import fcntl
import hashlib
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from model.errors import GalleryBusyError, StorageError

_OURS = re.compile(
    r"(manifest|building|recall(-\d+)?)\.json|gallery(-\d+)?\.lance|(checkpoint|codebooks)(-\d+)?\.safetensors"
    r"|attributes(-\d+)?|recall(-\d+)?\.faiss|failures\.csv|building-failures\.csv|photos\.arrow|lost\+found|\..*"
)
_GENERATION = re.compile(
    r"(?:gallery|checkpoint|codebooks|recall|attributes)(?:-(\d+))?(?:\.(?:lance|safetensors|faiss|json))?"
)


class IndexFiles(NamedTuple):
    """Where each file of one generation lies."""

    root: Path
    generation: int = 1

    @property
    def dataset(self) -> Path:
        return self.root / f"gallery{self._suffix}.lance"

    @property
    def checkpoint(self) -> Path:
        return self.root / f"checkpoint{self._suffix}.safetensors"

    @property
    def codebooks(self) -> Path:
        return self.root / f"codebooks{self._suffix}.safetensors"

    @property
    def attributes(self) -> Path:
        return self.root / f"attributes{self._suffix}"

    @property
    def recall(self) -> Path:
        return self.root / f"recall{self._suffix}.faiss"

    @property
    def recall_tie(self) -> Path:
        return self.root / f"recall{self._suffix}.json"

    @property
    def manifest(self) -> Path:
        return self.root / "manifest.json"

    @property
    def building(self) -> Path:
        return self.root / "building.json"

    @property
    def photos(self) -> Path:
        return self.root / "photos.arrow"

    @property
    def failures(self) -> Path:
        return self.root / "failures.csv"

    @property
    def building_failures(self) -> Path:
        return self.root / "building-failures.csv"

    @property
    def _suffix(self) -> str:
        return "" if self.generation == 1 else f"-{self.generation}"


def list_foreign(root: Path) -> list[str]:
    """Name the entries of a folder that no index would have put there."""
    return sorted(entry.name for entry in root.iterdir() if not _OURS.fullmatch(entry.name))


def list_generations(root: Path) -> list[int]:
    """List the generations of which any file is left, oldest first."""
    matches = (_GENERATION.fullmatch(entry.name) for entry in root.iterdir())
    return sorted({int(match[1] or 1) for match in matches if match})


def discard_generation(files: IndexFiles) -> None:
    """Delete the data of one generation, published or not."""
    with storage_errors(files.root, "clearing old files"):
        for folder in (files.dataset, files.attributes):
            if folder.exists():
                shutil.rmtree(folder)
        for path in (files.checkpoint, files.codebooks, files.recall, files.recall_tie):
            path.unlink(missing_ok=True)


def write_atomic(path: Path, write: Callable[[Path], None]) -> None:
    """Let `write` fill a temporary file, then put it in place: readers see all or nothing."""
    temporary = path.with_name(f".{path.name}.tmp")
    with storage_errors(path, "writing"):
        try:
            write(temporary)
            _sync(temporary)
            temporary.replace(path)
            _sync(path.parent)
        except BaseException:
            _forget(temporary)
            raise


def sync_written(folder: Path, since_ns: int) -> None:
    """Bring what was written below a folder after a time (`time.time_ns()`) onto the disk."""
    with storage_errors(folder, "writing to"):
        for parent, _, names in os.walk(folder):
            paths = [os.path.join(parent, name) for name in names]
            changed = [path for path in paths if _is_newer(path, since_ns)]
            for path in changed:
                _sync(path)
            if changed:
                _sync(parent)


def write_text_atomic(path: Path, text: str) -> None:
    """Write a small text file, all or nothing."""
    write_atomic(path, lambda temporary: _write_text(temporary, text))


def hash_file(path: Path) -> str:
    """Compute the hex SHA-256 of a file's bytes."""
    with storage_errors(path, "reading"), path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@contextmanager
def lock_for_writing(root: Path) -> Iterator[None]:
    """Be the only writer of an index folder; the lock ends with the process, however it ends."""
    with storage_errors(root, "opening"):
        handle = os.open(root, os.O_RDONLY)
    try:
        if not _try_lock(handle, fcntl.LOCK_EX):
            raise GalleryBusyError(
                f"another process is writing to {root}; wait until it has finished, then try again"
            )
        yield
    finally:
        os.close(handle)


class ReaderLease:
    """Keep writers from deleting what an open gallery still reads."""

    def __init__(self, dataset: Path) -> None:
        with storage_errors(dataset, "opening"):
            self._handle: int | None = os.open(dataset, os.O_RDONLY)
        # Some network file systems know no locks; there, writers find no reader.
        _try_lock(self._handle, fcntl.LOCK_SH)

    @contextmanager
    def alone(self) -> Iterator[bool]:
        """Hold other readers off for a moment; yields False when there are some.

        Only for a holder of the writer's lock: the lease is let go of in between.
        """
        assert self._handle is not None
        try:
            yield _try_lock(self._handle, fcntl.LOCK_EX)
        finally:
            _try_lock(self._handle, fcntl.LOCK_SH)

    def close(self) -> None:
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None


@contextmanager
def without_readers(dataset: Path) -> Iterator[bool]:
    """Hold readers off for a moment; yields False when somebody is reading now."""
    try:
        handle = os.open(dataset, os.O_RDONLY)
    except OSError as error:
        yield isinstance(error, FileNotFoundError)
        return
    try:
        yield _try_lock(handle, fcntl.LOCK_EX)
    finally:
        os.close(handle)


@contextmanager
def storage_errors(path: Path, doing: str) -> Iterator[None]:
    """Turn what the disk, Arrow or Lance raises into a StorageError sentence.

    Lance reports a full disk as a plain OSError without errno, a torn file as
    ValueError, and a broken invariant as a Rust panic (a BaseException).
    """
    try:
        yield
    except (OSError, ValueError, RuntimeError) as error:
        raise StorageError(_explain(path, doing, error)) from error
    except BaseException as error:
        if type(error).__name__ == "PanicException":
            raise StorageError(_explain(path, doing, error)) from error
        raise


def _explain(path: Path, doing: str, error: BaseException) -> str:
    code = _errno_of(error)
    if code in (errno.ENOSPC, errno.EDQUOT):
        return (
            f"the disk is full while {doing} {path}; free some space and run the same command "
            "again: what was committed is kept"
        )
    if code in (errno.EROFS, errno.EACCES, errno.EPERM):
        reason = "the file system is read-only" if code == errno.EROFS else "permission denied"
        return f"{reason} while {doing} {path}; use a folder that this user may write to"
    if code == errno.ENOENT:
        return (
            f"a file is missing while {doing} {path}: the index is damaged; restore it, or "
            "build it again with --overwrite"
        )
    detail = (str(error).splitlines() or [type(error).__name__])[0][:300]
    return (
        f"{doing} {path} failed ({detail}); if its files are damaged, restore them or build "
        "the index again with --overwrite"
    )


def _errno_of(error: BaseException) -> int | None:
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno
    text = str(error)
    if found := re.search(r"os error (\d+)", text):
        return int(found[1])
    if "No space left" in text:
        return errno.ENOSPC
    return errno.ENOENT if "Not found" in text or "was not found" in text else None


def _try_lock(handle: int, kind: int) -> bool:
    try:
        fcntl.flock(handle, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # no locks on this file system: trust the operator
        return True
    return True


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def _is_newer(path: str, since_ns: int) -> bool:
    try:
        # The clock of file times is coarser than the one of the process.
        return os.stat(path).st_mtime_ns >= since_ns - 50_000_000
    except FileNotFoundError:
        return False


def _sync(path: Path | str) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _forget(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError:
        return  # the error that is on its way says more
