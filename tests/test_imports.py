"""The walls of the house: service -> indexer -> model, stitch on its own, no torch in the service.

Reads the source with `ast`, so that a breach is found without importing anything.
"""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("model", "indexer", "service", "stitch")
MAY_IMPORT = {
    "model": {"model"},
    "indexer": {"indexer", "model"},
    # Errors, limits and thread habits are shared by all rooms; the network is not.
    "service": {
        "service",
        "indexer",
        "model.errors",
        "model.images",
        "model.runtime.names",
        "model.threads",
    },
    "stitch": {"stitch"},
}
STITCH_THIRD_PARTY = {"numpy", "PIL", "resvg_py", "typer", "rich"}
HEAVY = {"torch", "torchvision", "timm", "faiss"}


def list_modules(package: str) -> dict[str, Path]:
    """Map the dotted name of every module of a package to its file."""
    files = sorted((ROOT / package).rglob("*.py"))
    return {".".join(f.relative_to(ROOT).with_suffix("").parts): f for f in files}


MODULES = {
    name.removesuffix(".__init__"): file
    for package in PACKAGES
    for name, file in list_modules(package).items()
}


def find_imports(source: str, *, at_import_time: bool = False) -> Iterator[str]:
    """Yield the dotted names a source imports: all, or only those that run when it is imported."""
    todo: list[ast.AST] = [ast.parse(source)]
    while todo:
        node = todo.pop()
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "the house imports by full name"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        if at_import_time and waits(node):
            continue
        todo.extend(ast.iter_child_nodes(node))


def waits(node: ast.AST) -> bool:
    """Say whether what stands inside runs later than the import, or never."""
    if isinstance(node, ast.If):
        return "TYPE_CHECKING" in ast.dump(node.test)
    return isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)


def is_inside(name: str, package: str) -> bool:
    return name == package or name.startswith(package + ".")


def find_heavy(module: str) -> dict[str, str]:
    """Map each heavy library that importing a module loads to the module that asks for it."""
    found, seen, todo = {}, set(), [module]
    while todo:
        name = todo.pop()
        # Importing a.b.c runs a and a.b first; `from a import b` may name a module or a value.
        parents = [name.rsplit(".", n)[0] for n in range(1, name.count(".") + 1)]
        for each in [name, *parents]:
            if each in seen or each not in MODULES:
                continue
            seen.add(each)
            for target in find_imports(MODULES[each].read_text(), at_import_time=True):
                todo.append(target)
                if target.split(".")[0] in HEAVY:
                    found[target.split(".")[0]] = each
    return found


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_imports_only_what_lies_below_it(package):
    breaches = [
        f"{module} imports {name}"
        for module, file in list_modules(package).items()
        for name in find_imports(file.read_text())
        if name.split(".")[0] in PACKAGES
        and not any(is_inside(name, allowed) for allowed in MAY_IMPORT[package])
    ]
    assert breaches == []


def test_the_service_names_no_tensor_library():
    breaches = [
        f"{module} imports {name}"
        for module, file in list_modules("service").items()
        for name in find_imports(file.read_text())
        if name.split(".")[0] in HEAVY
    ]
    assert breaches == []


def test_the_service_is_importable_without_loading_a_tensor_library():
    """`indexer.engine`, which does load them, is imported inside the function that opens it."""
    modules = [name for name in MODULES if is_inside(name, "service")]
    assert modules
    assert {name: find_heavy(name) for name in modules if find_heavy(name)} == {}


@pytest.mark.parametrize("module", ["model.errors", "model.images", "indexer.results"])
def test_the_shared_words_load_no_tensor_library(module):
    assert module in MODULES
    assert find_heavy(module) == {}


def test_stitch_draws_with_nothing_but_numpy_pillow_and_resvg():
    foreign = {
        name.split(".")[0]
        for file in list_modules("stitch").values()
        for name in find_imports(file.read_text())
    }
    assert foreign - set(sys.stdlib_module_names) - {"stitch"} <= STITCH_THIRD_PARTY


@pytest.mark.parametrize(
    ("source", "at_import_time"),
    [
        ("import torch", {"torch"}),
        ("from torch.nn import Linear", {"torch.nn.Linear"}),
        ("def f():\n    import torch", set()),
        ("class A:\n    import torch", {"torch"}),
        ("if TYPE_CHECKING:\n    import torch", set()),
        ("try:\n    import torch\nexcept ImportError: pass", {"torch"}),
    ],
)
def test_the_reader_tells_imports_that_run_at_once_from_those_that_wait(source, at_import_time):
    assert set(find_imports(source, at_import_time=True)) == at_import_time
    assert len(set(find_imports(source))) == 1
