"""What the documents promise exists: commands, options, fields, files, headings."""

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path

import pytest
import yaml

from service.answers import SearchAnswer

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()
DOCUMENTS = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]
PROGRAMS = {"benchmarks", "indexer", "model", "service", "stitch"}


def find_blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def find_commands(text: str) -> Iterator[list[str]]:
    """Yield the commands of all shell blocks as words, without environment and comments."""
    for block in find_blocks(text, "sh"):
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            while words and re.match(r"[A-Z_]+=", words[0]):
                del words[0]
            if words:
                yield words


COMMANDS = list({tuple(words) for file in DOCUMENTS for words in find_commands(file.read_text())})
PYTHON_COMMANDS = sorted(words for words in COMMANDS if words[:2] == ("python", "-m"))


def test_the_readme_starts_with_the_two_commands():
    first_screen = "\n".join(README.splitlines()[:40])
    assert "make demo" in first_screen
    assert "make test" in first_screen
    assert "curl " in first_screen


@pytest.mark.parametrize(
    "target", sorted({w[1] for w in COMMANDS if w[0] == "make" and "=" not in w[1]})
)
def test_a_make_target_in_the_documents_exists(target):
    dry_run = ["make", "--dry-run", "--question", target]
    answer = subprocess.run(dry_run, cwd=ROOT, capture_output=True, text=True)
    assert "No rule" not in answer.stderr


@pytest.mark.parametrize("words", PYTHON_COMMANDS, ids=" ".join)
def test_a_python_command_in_the_documents_knows_its_options(words):
    program, arguments = words[2], words[3:]
    assert program in PROGRAMS
    verbs = list(takewhile(str.isalpha, arguments))
    answer = subprocess.run(
        [sys.executable, "-m", program, *verbs, "--help"],
        cwd=ROOT,
        env={**os.environ, "COLUMNS": "200"},
        capture_output=True,
        text=True,
    )
    assert answer.returncode == 0, answer.stderr
    known = set(re.findall(r"--[a-z][a-z-]*", answer.stdout))
    assert {word.split("=")[0] for word in arguments if word.startswith("--")} <= known


def test_the_answer_in_the_readme_has_the_fields_that_the_service_sends():
    schema = SearchAnswer.model_json_schema(mode="serialization")
    shapes = {name: set(shape["properties"]) for name, shape in schema["$defs"].items()}
    (block,) = find_blocks(README, "json")
    answer = json.loads(block)
    assert set(answer) == set(schema["properties"])
    assert set(answer["gallery"]) == shapes["GalleryAnswer"]
    for hit in answer["hits"]:
        assert set(hit) == shapes["HitAnswer"]
        assert set(hit["scores"]) == shapes["ScoresAnswer"]


def test_composed_services_in_the_documents_exist():
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    named = {words[-1] for words in COMMANDS if words[:2] == ("docker", "compose")}
    assert named - {"up"} <= set(services)
    assert named


@pytest.mark.parametrize("file", DOCUMENTS, ids=lambda f: f.name)
def test_links_between_documents_lead_somewhere(file):
    for target in re.findall(r"\]\((?!https?:)([^)\s]*)\)", file.read_text()):
        path, _, heading = target.partition("#")
        other = file.parent / path if path else file
        assert other.exists(), f"{file.name} links to {target}"
        assert not heading or heading in find_anchors(other), f"{file.name} links to {target}"


def find_anchors(file: Path) -> set[str]:
    """Return the names under which a page's headings can be linked to."""
    headings = re.findall(r"^#+ (.+)$", file.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}
