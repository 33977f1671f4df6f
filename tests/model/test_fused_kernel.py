"""The GPU kernel against its reference: on a GPU, and in Triton's interpreter without one."""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from model.alignment import TokenSet
from model.attended import CodedTokens, compare_coded, prepare_queries, score_coded
from model.fused_kernel import compare_fused, is_fit
from tests.model.test_attended import ask, leave_out, make, store

ROOT = Path(__file__).parents[2]
needs_triton = pytest.mark.skipif(
    find_spec("triton") is None, reason="needs Triton, which comes with torch for CUDA"
)
# Queries are rounded to half precision.
CLOSE = 2e-4
OPTIONS = [
    {"direction": direction, "token_weight": weight, "temperature": temperature}
    for direction, weight, temperature in (
        ("query", "root_mass", 20.0),
        ("symmetric", "uniform", 9.0),
        ("symmetric", "mass", 100.0),
        ("symmetric", "root_mass", 20.0),
    )
]


def check(device: str) -> float:
    """Largest difference from the reference over options, with unused tokens on both sides."""
    items = leave_out(store(11), ([0, 3, 3], [1, 0, 0], [2, 0, 1]))
    items = leave_out(items, (4, 0)).to(torch.device(device))
    queries = ask(3)
    queries.tokens[1, 0, 2:] = 0
    queries = TokenSet(*(x.to(device) for x in queries))
    worst = 0.0
    for options in OPTIONS:
        alignment = make(compare="all", **options).to(device)
        asked = prepare_queries(alignment, queries)
        assert is_fit(alignment.options, items.codes)
        found = compare_fused(alignment.options, asked, items)
        worst = max(worst, (found - score_coded(alignment, asked, items)).abs().max().item())
        nothing = compare_fused(alignment.options, asked, items.take(slice(0, 0)))
        assert nothing.shape == (3, 0)
    return worst


@needs_triton
def test_it_agrees_with_the_reference_in_the_interpreter() -> None:
    """In a process of its own: whether Triton interprets is settled when it is imported."""
    code = "from tests.model.test_fused_kernel import check; print(check('cpu'))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT, env={**os.environ, "TRITON_INTERPRET": "1"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < CLOSE


@needs_triton
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_it_agrees_with_the_reference_on_a_gpu() -> None:
    assert check("cuda") < CLOSE


@needs_triton
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_uses_it_and_says_what_a_cpu_says() -> None:
    alignment, queries, items = make(compare="all"), ask(2), store(5)
    expected = compare_coded(alignment, queries, items)
    moved = TokenSet(*(x.cuda() for x in queries)), items.to(torch.device("cuda"))
    found = compare_coded(alignment.cuda(), *moved)
    torch.testing.assert_close(found.cpu(), expected, rtol=0, atol=CLOSE)


def test_what_does_not_fit_the_kernel_is_left_to_the_reference() -> None:
    items = store(1)
    assert not is_fit(make(reduction="max").options, items.codes)
    wide = CodedTokens(items.codes.repeat(1, 1, 1, 32), items.scales, items.mass)
    assert not is_fit(make().options, wide.codes)
