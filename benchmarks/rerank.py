"""What re-ranking costs: ours, the shapes it replaces, others' matchers, and the floors.

One query photo at one scale, stored int8 tokens in memory, the shipped alignment's options.
Everything takes turns, so that other work on the machine hits all alike; the best round counts.
"""

import json
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import torch
from PIL import Image
from rich.console import Console
from rich.table import Table
from torch import Tensor
from torch.nn.functional import normalize
from typer import Option

from benchmarks.matchers import AmesShape, RrtShape, max_similarity, max_similarity_int8
from benchmarks.training import describe_machine
from model.alignment import TokenAlignment, TokenSet
from model.attended import CodedTokens, compare_coded
from model.bare import compare_bare
from model.config import get_preset
from model.devices import resolve_device
from model.encoder import Encoder
from model.runtime import openvino
from model.shipped import shipped_checkpoint

FEW, MANY = 100, 1000
# Pairs that the blocks and the matchers take at once.
PAIRS = 100
PEAK_SIDE = 2048
KERNEL, COPY = "attended, from codes, the gallery", "floor: copy the codes of the gallery"
Step = Callable[[], object]


def rerank(
    device: Annotated[str, Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    checkpoint: Annotated[Path | None, Option(help="The shipped one by default.")] = None,
    gallery: Annotated[int, Option(min=MANY, help="Items that rows are gathered from.")] = 12_612,
    rounds: Annotated[int, Option(min=1, help="Rounds; the best one counts.")] = 5,
    threads: Annotated[int, Option(min=1, help="Compute threads.")] = 1,
    note: Annotated[str, Option(help="Goes into the JSON: what else the machine did.")] = "",
    out: Annotated[Path | None, Option(help="Also write JSON to this file.")] = None,
) -> None:
    """Time the re-rank of 100 and of 1,000 candidates beside its floors and its peers.

    Example: `python -m benchmarks rerank --out benchmarks/results/rerank.json`
    """
    torch.set_num_threads(threads)
    place = resolve_device(device)
    with torch.inference_mode():
        steps = {**list_steps(place, gallery), **_encode_step(checkpoint, place)}
        times = _take_turns(steps, rounds, place)
    rows = [{"what": name, "ms": ms} for name, ms in times.items()]
    machine = {**describe_machine(device), "note": note}
    found = {"machine": machine, "rows": rows, "goals": judge(times)}
    _print(found)
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps(found, indent=2) + "\n")


def list_steps(device: torch.device, gallery: int) -> dict[str, Step]:
    """What is timed, by name; each begins at the stored codes of its candidates."""
    torch.manual_seed(0)
    preset = get_preset("mga-r50")
    levels, width = preset.num_levels, preset.aggregator.token_dim
    whole = TokenAlignment(levels, width, preset.alignment).eval().to(device)
    idle = TokenAlignment(levels, width, preset.alignment).eval().to(device)
    idle.drop_idle_stage()
    shape = (levels, preset.aggregator.num_tokens)
    items = CodedTokens(
        torch.randint(-127, 128, (gallery, *shape, width), dtype=torch.int8),
        torch.rand(gallery, *shape) + 0.01, torch.rand(gallery, *shape),
    ).to(device)  # fmt: skip
    query, two = (
        TokenSet(normalize(torch.randn(n, *shape, width), dim=-1), torch.rand(n, *shape))
        for n in (1, 2)
    )
    query, two = (TokenSet(*(x.to(device) for x in each)) for each in (query, two))
    places = torch.randperm(gallery)[:MANY].to(device)
    many = items.take(places)
    few = many.take(slice(0, FEW))
    return {
        **_our_steps(whole, idle, query, few, many),
        "re-rank of 100 for a query at two scales, gathered": lambda: compare_coded(
            idle, two, items.take(places[:FEW])
        ),
        **(_kernel_steps(idle, query, items) if device.type == "cuda" else {}),
        **_peer_steps(query, few, device),
        **_floor_steps(items, places, device),
    }


def _our_steps(
    whole: TokenAlignment,
    idle: TokenAlignment,
    query: TokenSet,
    few: CodedTokens,
    many: CodedTokens,
) -> dict[str, Step]:
    def cascade() -> Tensor:
        best = compare_coded(idle, query, many)[0].topk(FEW).indices
        return align(whole, query, many.take(best))

    return {
        "pairwise blocks, 100": lambda: align(whole, query, few),
        "pairwise blocks, 1000": lambda: align(whole, query, many),
        "cascade 1000 to 100": cascade,
        "attended, a matmul an item, 100": lambda: align(idle, query, few),
        "attended, a matmul an item, 1000": lambda: align(idle, query, many),
        "attended, decoded first, 100": lambda: _compare_decoded(idle, query, few),
        "attended, decoded first, 1000": lambda: _compare_decoded(idle, query, many),
        "attended, from codes, 100": lambda: compare_coded(idle, query, few),
        "attended, from codes, 1000": lambda: compare_coded(idle, query, many),
    }


def _kernel_steps(
    alignment: TokenAlignment, query: TokenSet, items: CodedTokens
) -> dict[str, Step]:
    """On a GPU: the fused kernel over enough bytes to time, and a copy of the same."""
    target = torch.empty_like(items.codes)
    return {
        KERNEL: lambda: compare_coded(alignment, query, items),
        COPY: lambda: target.copy_(items.codes),
    }


def align(alignment: TokenAlignment, query: TokenSet, items: CodedTokens) -> Tensor:
    """The whole alignment, some pairs at a time: (1, K)."""
    asked = alignment.prepare(query)
    parts = [items.take(slice(i, i + PAIRS)).decode() for i in range(0, len(items.codes), PAIRS)]
    return torch.cat([alignment.score(asked, alignment.prepare(part)) for part in parts], dim=1)


def _compare_decoded(alignment: TokenAlignment, query: TokenSet, items: CodedTokens) -> Tensor:
    tokens = items.decode()
    return compare_bare(alignment, query, TokenSet(tokens.tokens[0], tokens.mass[0]))


def _peer_steps(query: TokenSet, few: CodedTokens, device: torch.device) -> dict[str, Step]:
    one = query.tokens[0].flatten(0, 1)  # (N, d): all levels' tokens are one list to a peer
    codes = few.codes.flatten(1, 2)
    units = few.decode().tokens[0].flatten(1, 2)
    lengths = codes.float().norm(dim=-1)
    coarse = (127 * one / one.abs().amax()).round().to(torch.int8)
    ames, rrt = AmesShape().eval().to(device), RrtShape().eval().to(device)
    return {
        "MaxSim float32 (torch), 100": lambda: max_similarity(one, units),
        "MaxSim int8 (torch), 100": lambda: max_similarity_int8(coarse, codes, lengths),
        "AMES's matcher shape, 100": lambda: ames(one, units),
        "RRT's matcher shape, 100": lambda: rrt(one, units),
    }


def _floor_steps(items: CodedTokens, places: Tensor, device: torch.device) -> dict[str, Step]:
    square = torch.randn(PEAK_SIDE, PEAK_SIDE, device=device)
    words = items.codes[:MANY].clone().view(torch.int64)
    return {
        "floor: read the codes of 1000": lambda: words.sum(),
        "floor: gather the codes of 1000": lambda: items.codes[places],
        "floor: matmul 2048 x 2048 x 2048 float32": lambda: square @ square,
    }


def _encode_step(checkpoint: Path | None, device: torch.device) -> dict[str, Step]:
    """A query as a search encodes it, by the fastest runtime known for the device."""
    fast = "openvino" if openvino.is_installed() and device.type == "cpu" else "half"
    path = checkpoint or shipped_checkpoint()
    encoder = Encoder.from_checkpoint(path, str(device), fast)
    photo = encoder.prepare_query(Image.effect_noise((640, 640), 80).convert("RGB"))
    return {f"encode one query ({fast})": lambda: encoder.encode_queries([photo])}


def judge(times: dict[str, float]) -> list[dict[str, Any]]:
    """Goals, what was measured, and whether it is met."""
    (encode,) = (ms for name, ms in times.items() if name.startswith("encode one query"))
    few, loop = times["attended, from codes, 100"], times["attended, a matmul an item, 100"]
    gathered = times["re-rank of 100 for a query at two scales, gathered"]
    goals = [
        ("cascade 1000 to 100 / blocks over 1000",
         times["pairwise blocks, 1000"] / times["cascade 1000 to 100"], 8.0),
        ("attended / pairwise blocks, 100", times["pairwise blocks, 100"] / few, 50.0),
        ("from codes / a matmul an item, 100", loop / few, 3.0),
        ("re-rank of 100 / encode, as its inverse", encode / gathered, 4.0),
    ]  # fmt: skip
    if KERNEL in times:
        # A copy moves each byte twice.
        goals.append(("kernel's bandwidth / copy's", times[COPY] / 2 / times[KERNEL], 0.6))
    return [
        {"goal": name, "at least": goal, "measured": ratio, "met": ratio >= goal}
        for name, ratio, goal in goals
    ]


def _take_turns(steps: dict[str, Step], rounds: int, device: torch.device) -> dict[str, float]:
    """Least milliseconds of each; the first round warms up."""
    best = dict.fromkeys(steps, math.inf)
    for number in range(rounds + 1):
        for name, step in steps.items():
            # Ten runs a round, but of what takes long.
            for _ in range(10 if best[name] < 300 else 1):
                start = time.perf_counter()
                step()
                if device.type == "cuda":
                    torch.cuda.synchronize(device)
                spent = 1000 * (time.perf_counter() - start)
                best[name] = min(best[name], spent) if number else spent
    return best


def _print(found: dict[str, Any]) -> None:
    console = Console(width=110)
    table = Table("what", "ms")
    for row in found["rows"]:
        table.add_row(row["what"], f"{row['ms']:.3f}")
    console.print(table)
    table = Table("goal", "at least", "measured", "verdict")
    for row in found["goals"]:
        verdict = "met" if row["met"] else "missed"
        table.add_row(row["goal"], f"{row['at least']:g}", f"{row['measured']:.2f}", verdict)
    console.print(table)
