"""Programs outside the package (samples, benchmarks, proofs) use what the package has, as it is called today.

They take minutes to hours, so that no test runs them whole. This one reads them: each name that they take from the
package exists, and each call of one binds to its signature.
"""

from __future__ import annotations

import ast
import importlib
import inspect
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROGRAMS = sorted(
    path for folder in ("sample_projects", "benchmarks", "proofs") for path in (ROOT / folder).rglob("*.py")
)


def names(tree: ast.AST) -> Iterator[tuple[str, object]]:
    """Yield what a program imports from the package, by its name there."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "distill_tui":
            module = importlib.import_module(str(node.module))
            for alias in node.names:
                if not hasattr(module, alias.name):
                    importlib.import_module(f"{node.module}.{alias.name}")
                yield alias.asname or alias.name, getattr(module, alias.name)


def wrong(path: Path) -> Iterator[str]:
    """Yield each use of the package in a program that cannot work."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    known = dict(names(tree))

    def found(node: ast.AST) -> object:
        if isinstance(node, ast.Name):
            return known.get(node.id)
        if isinstance(node, ast.Attribute) and inspect.ismodule(owner := found(node.value)):
            return getattr(owner, node.attr, None)
        return None

    for node in ast.walk(tree):
        owner = found(node.value) if isinstance(node, ast.Attribute) else None
        if isinstance(node, ast.Attribute) and inspect.ismodule(owner) and not hasattr(owner, node.attr):
            yield f"line {node.lineno}: {owner.__name__} has no {node.attr}"
        called = found(node.func) if isinstance(node, ast.Call) else None
        if isinstance(node, ast.Call) and (inspect.isfunction(called) or inspect.isclass(called)):
            try:
                _bind(node, inspect.signature(called))
            except TypeError as error:
                yield f"line {node.lineno}: {called.__name__}: {error}"
            except ValueError:
                continue  # a type without a signature


def _bind(call: ast.Call, signature: inspect.Signature) -> None:
    """Raise TypeError where a call does not fit a signature, as far as its text shows."""
    plain = [each for each in call.args if not isinstance(each, ast.Starred)]
    named = {each.arg: None for each in call.keywords if each.arg is not None}
    whole = len(plain) == len(call.args) and all(each.arg for each in call.keywords)
    (signature.bind if whole else signature.bind_partial)(*plain, **named)


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_program_calls_the_package_as_it_is(path: Path) -> None:
    assert not list(wrong(path))


def test_modules_that_programs_import_by_name_are_told_apart() -> None:
    """`proofs/run.py` and some benchmarks import from these folders by bare names."""
    names = [path.stem for folder in ("tests", "benchmarks", "proofs") for path in (ROOT / folder).glob("*.py")]
    assert not [name for name, times in Counter(names).items() if times > 1]


def test_a_name_that_is_gone_and_a_call_that_does_not_fit_are_found(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        "from distill_tui.teachers import cache\nfrom distill_tui.training.loop import Places\n"
        "cache.NAME\nPlaces(None, start=1)\ncache.add(1, 2, 3)\nPlaces(*range(3))\n"
    )
    assert [each.partition(": ")[0] for each in wrong(program)] == ["line 3", "line 4"]
