"""The structure of the package, read from its source text: ``python -m tools.structure [FOLDER]``.

Prints lines per room, which room imports which, and what the rules of the house forbid: circles of files, private
modules and names used by neighbours, file names used twice, and long functions. ``FOLDER`` may be another checkout's
``aista``.
"""

from __future__ import annotations

import argparse
import ast
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["Module", "circles", "long_functions", "private_imports", "read_package", "same_names"]

LONG = 40
SAME_PART = ("__init__", "__main__", "base")  # their name is the part that they play


@dataclass
class Module:
    """One file: its dotted name, its text, and the package's modules that it imports, lazily or not."""

    name: str
    file: Path
    source: str
    tree: ast.Module
    imports: set[str] = field(default_factory=set)

    @property
    def room(self) -> str:
        """The subpackage: ``engine`` for ``aista.engine.training.train``; ``.`` for top-level modules."""
        parts = self.name.split(".")
        return parts[1] if len(parts) > 2 or (self.file.stem == "__init__" and len(parts) == 2) else "."

    @property
    def registers(self) -> bool:
        """Whether it declares a component, after which the file must be named."""
        return "@register(" in self.source


def read_package(folder: Path) -> dict[str, Module]:
    """Every module of the package in ``folder``, by dotted name."""
    modules = {}
    for file in sorted(folder.rglob("*.py")):
        parts = [folder.name, *file.relative_to(folder).with_suffix("").parts]
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        source = file.read_text(encoding="utf-8")
        modules[name] = Module(name, file, source, ast.parse(source))
    for module in modules.values():
        module.imports = {target for target, _ in _imported(module, modules)} - {module.name}
    return modules


def _imported(module: Module, modules: Mapping[str, Module]) -> Iterator[tuple[str, str]]:
    """``(module, name)`` of each import from inside the package; the name is empty for a whole module."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names if alias.name in modules)
        elif isinstance(node, ast.ImportFrom) and (source := node.module or "") in modules:
            for alias in node.names:
                whole = f"{source}.{alias.name}"
                yield (whole, "") if whole in modules else (source, alias.name)


def circles(modules: Mapping[str, Module]) -> list[list[str]]:
    """Groups of files that import each other, directly or indirectly (Tarjan's components of two or more)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(name: str) -> None:
        index[name] = low[name] = len(index)
        stack.append(name)
        for target in sorted(modules[name].imports):
            if target not in index:
                visit(target)
                low[name] = min(low[name], low[target])
            elif target in stack:
                low[name] = min(low[name], index[target])
        if low[name] == index[name]:
            group = stack[stack.index(name) :]
            del stack[-len(group) :]
            if len(group) > 1:
                found.append(sorted(group))

    for name in modules:
        if name not in index:
            visit(name)
    return found


def private_imports(modules: Mapping[str, Module]) -> list[str]:
    """Imports of a module or name with a leading underscore from another file."""
    return [
        f"{module.name} imports {target}{'.' * bool(name)}{name}"
        for module in modules.values()
        for target, name in _imported(module, modules)
        if any(part.startswith("_") and not part.startswith("__") for part in (target.split(".")[-1], name))
    ]


def same_names(modules: Mapping[str, Module]) -> list[list[str]]:
    """Files that share a name without having the same role, as components, commands and ``base.py`` do."""
    groups: dict[str, list[Module]] = defaultdict(list)
    for module in modules.values():
        if module.file.stem not in SAME_PART:
            groups[module.file.stem].append(module)
    return [
        [module.name for module in group]
        for group in groups.values()
        if len(group) > 1 and len([m for m in group if m.room != "cli"]) > 1 and not all(m.registers for m in group)
    ]


def long_functions(modules: Mapping[str, Module], longest: int = LONG) -> list[tuple[int, str]]:
    """Functions of more lines than ``longest``, docstrings not counted, the longest first."""
    found = []
    for module in modules.values():
        for node in ast.walk(module.tree):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.end_lineno:
                lines = node.end_lineno - node.lineno + 1
                first = node.body[0]
                if ast.get_docstring(node) is not None and first.end_lineno:
                    lines -= first.end_lineno - first.lineno + 1
                if lines > longest:
                    found.append((lines, f"{module.name}.{node.name}"))
    return sorted(found, reverse=True)


def _print(title: str, lines: Iterable[str]) -> None:
    lines = list(lines)
    print(f"\n{title}: {len(lines)}")
    for line in lines:
        print(f"  {line}")


def main() -> None:
    """Print the structure of the package."""
    parser = argparse.ArgumentParser(prog="python -m tools.structure", description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=Path(__file__).parents[1] / "aista")
    modules = read_package(parser.parse_args().folder)
    lines = Counter[str]()
    files = Counter(module.room for module in modules.values())
    arrows: dict[str, Counter[str]] = defaultdict(Counter)
    for module in modules.values():
        lines[module.room] += module.source.count("\n")
        arrows[module.room].update(modules[target].room for target in module.imports)
    print(f"{'room':12} {'files':>5} {'lines':>6}  imports (how many) from")
    for room in sorted(files, key=lambda room: -lines[room]):
        others = ", ".join(f"{other} {count}" for other, count in arrows[room].most_common() if other != room)
        print(f"{room:12} {files[room]:5} {lines[room]:6}  {others}")
    print(f"{'all':12} {sum(files.values()):5} {sum(lines.values()):6}")
    _print("Circles of files", (" <-> ".join(group) for group in circles(modules)))
    _print("Private modules and names used elsewhere", private_imports(modules))
    _print("File names used twice", (", ".join(group) for group in same_names(modules)))
    _print(
        f"Functions over {LONG} lines without their docstring", (f"{n} {name}" for n, name in long_functions(modules))
    )


if __name__ == "__main__":
    main()
