# SPDX-License-Identifier: Apache-2.0
"""Each folder imports only from its own floor's folder and from the floors below (docs/architecture.md).

Imports are read, not run: those inside functions count, those under `if TYPE_CHECKING` do not.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "flinkcore"

FLOORS = {
    "errors": 0, "faultpoint": 0,  # the standard library only: anyone may raise one
    "_native": 1,
    "config": 2, "config_text": 2, "options": 2, "metrics": 2,
    "columnar": 3,
    "expr": 4, "state": 4, "kernels": 4,
    "time": 5, "checkpoint": 5,
    "operators": 6, "connectors": 6,
    "graph": 7,
    "runtime": 8,
    "common": 9, "datastream": 9, "table": 9, "testing": 9, "util": 9,
    "cli": 10, "web": 10, "as_pyflink": 10, "__main__": 10,
}
#: Folders of one floor that may know each other.
TOGETHER = (
    {"config", "config_text", "options", "metrics"},
    {"common", "datastream", "table", "testing", "util"},      # one API
    {"cli", "as_pyflink", "__main__", "web"},
)

#: Third-party packages, and the only folders that may import them at all.
PACKAGES = {
    "numba": {"expr", "kernels"},
    "xxhash": {"state", "checkpoint"},
    "fastavro": {"connectors"},
    "pandas": {"table", "datastream", "columnar", "connectors"},
    "polars": {"table", "datastream", "columnar", "connectors"},
}


def modules() -> list[Path]:
    return sorted(path for pattern in ("*.py", "*.pyx") for path in PACKAGE.rglob(pattern)
                  if path != PACKAGE / "__init__.py")


def folder_of(path: Path) -> str:
    """The part of the package that a file belongs to: a folder, or a module beside the folders."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(path: Path) -> Iterator[tuple[int, str, bool]]:
    """(line, dotted name, whether it runs when the module is imported) of every import that ever runs."""
    if path.suffix == ".pyx":
        yield from imports_of_cython(path)
        return
    package = path.relative_to(PACKAGE.parent).parent.parts

    def visit(node: ast.AST, at_import: bool) -> Iterator[tuple[int, str, bool]]:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            for child in node.orelse:
                yield from visit(child, at_import)
            return
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name, at_import) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                base = ".".join(filter(None, [*package[: len(package) - node.level + 1], base]))
            yield from ((node.lineno, f"{base}.{alias.name}", at_import) for alias in node.names)
        inside = at_import and not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
        for child in ast.iter_child_nodes(node):
            yield from visit(child, inside)

    yield from visit(ast.parse(path.read_text()), True)


def imports_of_cython(path: Path) -> Iterator[tuple[int, str, bool]]:
    for number, line in enumerate(path.read_text().splitlines(), 1):
        words = line.split()
        if len(words) > 1 and words[0] in ("from", "import", "cimport"):
            yield number, words[1].rstrip(","), not line.startswith(" ")


def may_import(folder: str, other: str) -> bool:
    if folder == other or FLOORS[other] < FLOORS[folder]:
        return True
    return any(folder in group and other in group for group in TOGETHER)


def test_every_folder_has_a_floor() -> None:
    assert {folder_of(path) for path in modules()} <= set(FLOORS)


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_downward(path: Path) -> None:
    folder = folder_of(path)
    upward = []
    for line, name, _ in imports(path):
        other = name.split(".")[1] if name.startswith("flinkcore.") else None
        if other in FLOORS and not may_import(folder, other):
            upward.append(f"line {line}: {folder} on floor {FLOORS[folder]} imports {name} ({FLOORS[other]})")
    assert not upward, "\n".join(upward)


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_packages_are_imported_where_they_belong_and_late(path: Path) -> None:
    wrong = []
    for line, name, at_import in imports(path):
        package = name.split(".")[0]
        if package in PACKAGES:
            if folder_of(path) not in PACKAGES[package]:
                wrong.append(f"line {line}: {package} belongs in {', '.join(sorted(PACKAGES[package]))}")
            elif at_import:
                wrong.append(f"line {line}: {package} is imported inside the function that needs it")
        elif package == "pyflink":
            wrong.append(f"line {line}: the engine imports itself as flinkcore")
    assert not wrong, "\n".join(wrong)


def test_a_kernel_knows_no_python_and_no_files() -> None:
    """Floor 0: csrc includes the C library and itself, nothing that does I/O, threads or Python.

    sys/mman.h is for the advice to use large pages (fc_table.c), sched.h for giving way to the holder of a lock
    (fc_pool.c)."""
    allowed = {"assert.h", "float.h", "immintrin.h", "limits.h", "math.h", "sched.h", "stdalign.h",
               "stdatomic.h", "stdbool.h", "stddef.h", "stdint.h", "stdlib.h", "string.h", "sys/mman.h"}
    for path in sorted((PACKAGE.parent / "csrc").glob("*.[ch]")):
        for number, line in enumerate(path.read_text().splitlines(), 1):
            if line.startswith("#include"):
                header = line.split()[1].strip('<>"')
                assert header in allowed or header.startswith("fc_"), f"{path.name}:{number}: {line}"
