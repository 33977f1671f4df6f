"""Findings as JSON files that a person can read, and that git can compare."""

import json
import re
from pathlib import Path
from typing import Any

# Line ends are never inside a JSON string.
_INNERMOST = re.compile(r"\[\n\s*([^\[\]{}]*?)\n\s*\]")
_NEXT = re.compile(r",\n\s*")


def write_story(path: Path, story: dict[str, Any]) -> None:
    """Write indented JSON with one line for each list of plain values."""
    path.write_text(to_text(story), encoding="utf-8")


def to_text(story: dict[str, Any]) -> str:
    """Return what `write_story` writes.

    >>> print(to_text({"samples": [[0, 1.5], [5, 2.5]]}), end="")
    {
     "samples": [
      [0, 1.5],
      [5, 2.5]
     ]
    }
    """
    text = json.dumps(story, indent=1, ensure_ascii=False, allow_nan=False)
    return _INNERMOST.sub(lambda found: "[" + _NEXT.sub(", ", found[1]) + "]", text) + "\n"
