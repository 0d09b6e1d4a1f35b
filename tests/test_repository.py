# SPDX-License-Identifier: Apache-2.0
"""The repository keeps its own rules: what can be read off the files themselves."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
#: Programs and outputs that are kept exactly as their authors wrote them.
AS_GIVEN = ROOT / "tests" / "golden"
BUILT = ("build", "dist", ".venv", ".git")


def files(*suffixes: str) -> list[Path]:
    found = (path for suffix in suffixes for path in ROOT.rglob(f"*{suffix}"))
    return sorted(path for path in found if path.is_file() and AS_GIVEN not in path.parents
                  and not path.relative_to(ROOT).parts[0].startswith(BUILT))


SOURCES = files(".py", ".pyx", ".pxd", ".pyi", ".c", ".h")


def test_every_source_file_says_its_licence_in_its_first_line() -> None:
    unlicensed = [path for path in SOURCES if "SPDX-License-Identifier: Apache-2.0" not in first_line(path)]
    assert not unlicensed


def first_line(path: Path) -> str:
    lines = path.read_text().splitlines()
    return lines[1 if lines[:1] and lines[0].startswith("#!") else 0] if lines else ""


def test_nothing_is_left_for_later() -> None:
    marks = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")
    left = [f"{path.relative_to(ROOT)}:{number}" for path in SOURCES if path != Path(__file__)
            for number, line in enumerate(path.read_text().splitlines(), 1) if marks.search(line)]
    assert not left


def test_no_module_is_a_drawer_for_leftovers() -> None:
    of_pyflink = ("pyflink", "common", "datastream", "table")     # PyFlink's module tree has a utils there
    assert not [path for path in SOURCES if path.stem in ("utils", "util", "helpers", "helper", "misc")
                and path.parent.name not in of_pyflink]


@pytest.mark.parametrize("path", files(".pyx"), ids=lambda path: path.stem)
def test_every_binding_has_its_types(path: Path) -> None:
    assert path.with_suffix(".pyi").exists() or path.stem == "status"     # status has only C functions


@pytest.mark.parametrize("path", sorted((ROOT / "bench").rglob("bench_*.py")), ids=lambda path: path.stem)
def test_every_bench_checks_its_result(path: Path) -> None:
    for function in ast.parse(path.read_text()).body:
        if isinstance(function, ast.FunctionDef) and function.name.startswith("bench_"):
            text = ast.unparse(function)
            assert "assert" in text or re.search(r"\bcheck\w*\(", text), f"{path.name}: {function.name}"


@pytest.mark.parametrize("path", sorted((ROOT / "examples").glob("*.py")), ids=lambda path: path.stem)
def test_every_example_has_a_test_and_stands_in_the_readme(path: Path) -> None:
    assert (ROOT / "tests" / "examples" / f"test_{path.name}").exists()
    assert path.name in (ROOT / "README.md").read_text()


@pytest.mark.parametrize("path", files(".md"), ids=lambda path: str(path.relative_to(ROOT)))
def test_links_between_documents_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", path.read_text()):
        if "://" not in target:
            assert (path.parent / target).exists(), f"{path.name} links to {target}"
