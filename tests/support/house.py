"""Figures of the house: lines, entries, import cycles, deferred imports, largest files (`make house`).

A deferred import stands inside a function. Imports for typing alone (`if TYPE_CHECKING`) run never and are left out.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "src" / "distill_tui"
GOALS = {"lines": 28_000, "entries": 22, "cycles": 0, "deferred": 80, "any": 263}


@dataclass(frozen=True)
class Import:
    """One import of a module of the package."""

    source: str
    target: str
    deferred: bool


def modules(package: Path = PACKAGE) -> dict[str, Path]:
    """Return every module of the package by its dotted name without the package's own."""
    found = {}
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(package: Path = PACKAGE) -> list[Import]:
    """Return every import within the package that can run."""
    known = modules(package)
    return [
        Import(name, target, deferred)
        for name, path in known.items()
        for target, deferred in _of(ast.parse(path.read_text(encoding="utf-8")), package.name, known, deferred=False)
        if target != name
    ]


def _of(node: ast.AST, root: str, known: dict[str, Path], *, deferred: bool) -> Iterator[tuple[str, bool]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test):
            continue
        if isinstance(child, ast.Import):
            names = [alias.name for alias in child.names]
        elif isinstance(child, ast.ImportFrom):
            names = [f"{child.module}.{alias.name}" for alias in child.names]
        else:
            inside = deferred or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef)
            yield from _of(child, root, known, deferred=inside)
            continue
        for name in names:
            parts = name.split(".")
            if parts[0] != root:
                continue
            inner = ".".join(parts[1:])
            yield (inner if inner in known else ".".join(parts[1:-1])), deferred


def deferred_statements(package: Path = PACKAGE) -> int:
    """Count import statements inside functions, of the package or not."""
    count = 0
    for path in modules(package).values():
        functions = (
            node
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        )
        lines = {
            node.lineno
            for function in functions
            for node in ast.walk(function)
            if isinstance(node, ast.Import | ast.ImportFrom)
        }
        count += len(lines)
    return count


def uses_of_any(package: Path = PACKAGE) -> int:
    """Count the places where a type is `Any`."""
    return sum(
        isinstance(node, ast.Name) and node.id == "Any"
        for path in modules(package).values()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    )


def cycles(edges: list[Import]) -> list[list[str]]:
    """Return the groups of modules that import one another, deferred imports counted (Tarjan 1972)."""
    after: dict[str, set[str]] = {}
    for edge in edges:
        after.setdefault(edge.source, set()).add(edge.target)
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(name: str) -> None:
        index[name] = low[name] = len(index)
        stack.append(name)
        for target in sorted(after.get(name, ())):
            if target not in index:
                visit(target)
                low[name] = min(low[name], low[target])
            elif target in stack:
                low[name] = min(low[name], index[target])
        if low[name] == index[name]:
            group = [stack.pop()]
            while group[-1] != name:
                group.append(stack.pop())
            if len(group) > 1:
                found.append(sorted(group))

    for name in sorted(after):
        if name not in index:
            visit(name)
    return found


def main() -> None:
    """Print each figure next to its goal."""
    lines = {name: path.read_text(encoding="utf-8").count("\n") for name, path in modules().items()}
    entries = [path.name for path in PACKAGE.iterdir() if not path.name.startswith("__") and path.name != "py.typed"]
    groups = cycles(imports())
    figures = {
        "lines": sum(lines.values()),
        "entries": len(entries),
        "cycles": len(groups),
        "deferred": deferred_statements(),
        "any": uses_of_any(),
    }
    for name, figure in figures.items():
        sys.stdout.write(f"{name:<10} {figure:>7,}   goal: at most {GOALS[name]:,}\n")
    for group in groups:
        sys.stdout.write(f"  cycle: {' '.join(group)}\n")
    rooms: dict[str, int] = {}
    for name, count in lines.items():
        rooms[name.split(".")[0]] = rooms.get(name.split(".")[0], 0) + count
    listed = ", ".join(f"{room or 'top'} {n:,}" for room, n in sorted(rooms.items()))
    sys.stdout.write(f"lines by room: {listed}\n")
    largest = sorted(lines.items(), key=lambda item: -item[1])[:10]
    sys.stdout.write("largest files: " + ", ".join(f"{name} {n}" for name, n in largest) + "\n")


if __name__ == "__main__":
    main()
