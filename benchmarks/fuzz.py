"""Broken photos against a running service: none may fail it, hang it, or make it grow.

Every photo is a drawn one in some format, damaged in one to four ways. The service may search with
it or refuse it; an answer of 5xx, no answer in time, or memory that keeps growing is a finding.
"""

import io
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any

import httpx
import numpy as np
from PIL import Image
from rich.console import Console
from typer import Exit, Option

from benchmarks.memory import fit_slope, read_memory
from benchmarks.story import write_story

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")
MODES = {
    "JPEG": ("RGB", "L", "CMYK"),
    "PNG": ("RGB", "RGBA", "P", "L", "I;16"),
    "WEBP": ("RGB", "RGBA"),
    "GIF": ("P", "L"),
    "BMP": ("RGB", "L", "P"),
    "TIFF": ("RGB", "RGBA", "CMYK", "I;16", "F"),
    "AVIF": ("RGB", "RGBA"),
}
# Numbers that sizes, counts and offsets break on.
EDGES = (
    b"\x00\x00\x00\x00",
    b"\xff\xff\xff\xff",
    b"\x7f\xff\xff\xff",
    b"\xff\xff\xff\x7f",
    b"\xff\xff",
)
ORIENTATION = 0x0112
# Photos between two looks at the service's memory.
LOOK_EVERY = 250

Damage = Callable[[bytes, random.Random], bytes]


def fuzz(
    url: Annotated[str, Option(help="Address of a running service, as in http://127.0.0.1:8000.")],
    images: Annotated[int, Option(help="Photos to send; time grows with it.", min=1)] = 10_000,
    seed: Annotated[int, Option(help="The same seed sends the same photos.")] = 0,
    timeout_s: Annotated[float, Option(help="An answer that takes longer is a hang.")] = 30.0,
    key: Annotated[str, Option(help="Read key, where the service asks for one.")] = "",
    out: Annotated[Path | None, Option(help="JSON file for the findings.")] = None,
) -> None:
    """Send damaged photos to a service; exit 1 if one of them fails or hangs it.

    Example: `python -m benchmarks fuzz --url http://127.0.0.1:8000 --images 10000`.
    """
    headers = {"X-API-Key": key} if key else {}
    started = time.perf_counter()
    with httpx.Client(base_url=url, timeout=timeout_s, headers=headers) as client:
        memory = [(0, read_memory(client))]

        def post(number: int, photo: bytes) -> str:
            if number and number % LOOK_EVERY == 0:
                memory.append((number, read_memory(client)))
            return _post(client, photo)

        numbers = iter(range(images))
        found = send_photos(lambda photo: post(next(numbers), photo), images, seed)
        memory.append((images, read_memory(client)))
    story = describe(found, memory) | {
        "seed": seed,
        "seconds": round(time.perf_counter() - started),
    }
    if out:
        write_story(out, story)
    _print(story)
    if story["findings"]:
        raise Exit(1)


def describe(found: Counter[str], memory: list[tuple[int, float]]) -> dict[str, Any]:
    """Say what the answers and the looks at the memory, (photos sent, MB), amount to.

    Growth is that of the second half: the first fills caches and the allocator's pools.
    """
    slope = fit_slope(memory[len(memory) // 2 :])
    return {
        "images": found.total(),
        "answers": dict(found.most_common()),
        "findings": [what for what in found if not what.startswith(("2", "4"))],
        "memory_mb": {"before": memory[0][1], "after": memory[-1][1], "samples": memory},
        "growth_mb_per_1000_images": None if slope is None else round(1000 * slope, 3),
    }


def _print(story: dict[str, Any]) -> None:
    console, memory = Console(file=sys.stdout), story["memory_mb"]
    answers = ", ".join(f"{n} x {what}" for what, n in story["answers"].items())
    console.print(f"{story['images']} photos: {answers}")
    console.print(
        f"resident memory: {memory['before']:.0f} MB before, {memory['after']:.0f} MB after"
    )
    if (growth := story["growth_mb_per_1000_images"]) is not None:
        console.print(f"growth in the second half: {growth:+.2f} MB for 1,000 photos")
    if story["findings"]:
        findings = ", ".join(story["findings"])
        console.print(f"Findings: {findings}; the service's log names the requests.")


def send_photos(post: Callable[[bytes], str], count: int, seed: int) -> Counter[str]:
    """Count what `post` says of each damaged photo."""
    return Counter(post(photo) for photo in make_photos(count, seed))


def make_photos(count: int, seed: int) -> Iterator[bytes]:
    """Yield damaged photos; the same seed yields the same ones."""
    rng = random.Random(seed)
    for _ in range(count):
        photo = draw(rng)
        for _ in range(rng.randint(1, 4)):
            photo = rng.choice(DAMAGES)(photo, rng)
        yield photo


def draw(rng: random.Random) -> bytes:
    """Encode a small photo of noise in some format and mode, some with EXIF or several frames."""
    kind = rng.choice(FORMATS)
    mode = rng.choice(MODES[kind])
    noise = np.random.default_rng(rng.randrange(2**32)).integers(0, 256, (40, 32, 3), np.uint8)
    photo = _convert(Image.fromarray(noise), mode)
    options: dict[str, object] = {}
    if kind in {"JPEG", "PNG", "WEBP", "TIFF"} and rng.random() < 0.5:
        exif = Image.Exif()
        exif[ORIENTATION] = rng.randint(0, 9)
        options["exif"] = exif
    if kind in {"GIF", "PNG", "WEBP", "TIFF"} and rng.random() < 0.3:
        options |= {"save_all": True, "append_images": [photo.copy(), photo.copy()]}
    buffer = io.BytesIO()
    photo.save(buffer, kind, **options)
    return buffer.getvalue()


def _convert(photo: Image.Image, mode: str) -> Image.Image:
    if mode == "I;16":
        return Image.fromarray(np.asarray(photo.convert("L"), np.uint16) * 257)
    return photo.convert(mode)


def _flip_bits(photo: bytes, rng: random.Random) -> bytes:
    data = bytearray(photo)
    for _ in range(rng.randint(1, 1 + len(data) // 50)):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return bytes(data)


def _flip_header(photo: bytes, rng: random.Random) -> bytes:
    data = bytearray(photo)
    for _ in range(rng.randint(1, 4)):
        data[rng.randrange(min(64, len(data)))] = rng.randrange(256)
    return bytes(data)


def _truncate(photo: bytes, rng: random.Random) -> bytes:
    return photo[: rng.randint(1, len(photo))]


def _splice(photo: bytes, rng: random.Random) -> bytes:
    """Join the head of one format to the rest of another."""
    other, cut = draw(rng), rng.randint(1, min(200, len(photo)))
    return other[: rng.randint(1, min(200, len(other)))] + photo[cut:]


def _write_edge(photo: bytes, rng: random.Random) -> bytes:
    """Put a number that is too large, negative or zero somewhere."""
    edge, place = rng.choice(EDGES), rng.randrange(len(photo))
    return photo[:place] + edge + photo[place + len(edge) :]


def _repeat(photo: bytes, rng: random.Random) -> bytes:
    start = rng.randrange(len(photo))
    end = min(len(photo), start + rng.randint(1, 200))
    return photo[:end] + photo[start:end] * rng.randint(1, 20) + photo[end:]


def _remove(photo: bytes, rng: random.Random) -> bytes:
    start = rng.randrange(len(photo))
    return photo[:start] + photo[start + rng.randint(1, 50) :] or photo


DAMAGES: tuple[Damage, ...] = (
    _flip_bits,
    _flip_header,
    _truncate,
    _splice,
    _write_edge,
    _repeat,
    _remove,
)


def _post(client: httpx.Client, photo: bytes) -> str:
    """Return the status and the error's code, or what went wrong on the way."""
    try:
        response = client.post("/search", files={"image": ("photo", photo)}, data={"k": "1"})
    except httpx.TimeoutException:
        return "no answer in time"
    except httpx.TransportError as error:
        return f"connection broken ({type(error).__name__})"
    if response.status_code == 200:
        return "200"
    return f"{response.status_code} {response.json()['error']['code']}"
