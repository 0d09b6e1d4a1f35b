# SPDX-License-Identifier: Apache-2.0
"""Makes `pyflink` a second name for flinkcore in this process.

    import flinkcore.as_pyflink                     # in a notebook; `flinkcore run` does it for a program
    from pyflink.datastream import DataStream       # is flinkcore.datastream.DataStream, the very same class

A finder at the head of sys.meta_path answers for `pyflink` and everything below it with the modules of
flinkcore, so that no class exists twice. A PyFlink that is installed is not touched, only not found: other
processes use it as before. `pyflink.version` is the one exception: it says which release's API this is.

Where py4j is not installed, `py4j.protocol` has the errors that programs catch around execute().
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

_OWN = {"pyflink.version": "flinkcore.as_pyflink.version"}
_PY4J = {"py4j": "flinkcore.as_pyflink.py4j", "py4j.protocol": "flinkcore.as_pyflink.py4j.protocol"}


class _Finder(MetaPathFinder):
    """Finds flinkcore's module for a pyflink name."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != "pyflink" and not fullname.startswith("pyflink."):
            return None
        name = _OWN.get(fullname, "flinkcore" + fullname[len("pyflink") :])
        found = importlib.util.find_spec(name)
        if found is None:
            raise ModuleNotFoundError(
                f"No module named '{fullname}': pyflink stands for flinkcore here, "
                f"and flinkcore does not have {name}",
                name=fullname,
            )
        return ModuleSpec(fullname, _Loader(name), is_package=found.submodule_search_locations is not None)


class _Py4jFinder(MetaPathFinder):
    """Finds the errors of py4j, after everything that is installed."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        name = _PY4J.get(fullname)
        return None if name is None else ModuleSpec(fullname, _Loader(name), is_package=fullname == "py4j")


class _Loader(Loader):
    """Puts flinkcore's module where the import system has just put an empty one."""

    def __init__(self, name: str) -> None:
        self.name = name

    def exec_module(self, module: ModuleType) -> None:
        sys.modules[module.__name__] = importlib.import_module(self.name)


def install() -> None:
    """Maps the names; once is enough. ImportError if the real PyFlink is imported in this process already."""
    present = sys.modules.get("pyflink")
    if present is not None and present is not sys.modules["flinkcore"]:
        raise ImportError(
            f"pyflink is imported already, from {getattr(present, '__file__', None)}; "
            "import flinkcore.as_pyflink before the first import of pyflink"
        )
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())
        sys.meta_path.append(_Py4jFinder())


install()
