# SPDX-License-Identifier: Apache-2.0
"""A user's program: found, run as __main__ as Python itself would, its failure told without engine frames."""

from __future__ import annotations

import builtins
import importlib.util
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.machinery import ModuleSpec, SourceFileLoader
from types import CodeType, ModuleType

from flinkcore.errors import FlinkcoreError, JobExecutionError

ENGINE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep


@dataclass(frozen=True)
class Program:
    """What to run: `load` compiles it and names its file; `folder` goes to the head of sys.path."""

    name: str
    arguments: tuple[str, ...]
    folder: str
    load: Callable[[], tuple[CodeType, str, ModuleSpec | None]]

    @staticmethod
    def find(name: str, arguments: Sequence[str], *, as_module: bool) -> Program | str:
        """The program, or what is wrong with the name."""
        if as_module:
            return Program(name, tuple(arguments), os.getcwd(), lambda: _load_module(name))
        if not os.path.isfile(name):
            what = "is a folder" if os.path.isdir(name) else "does not exist"
            return f"the program '{name}' {what}; expected a Python file's path, or -m and a module's name"
        folder = os.path.dirname(os.path.realpath(name))
        return Program(name, tuple(arguments), folder, lambda: _load_file(name))

    def run(self) -> None:
        """Runs it in this interpreter, `pyflink` being flinkcore; raises what it raises."""
        import flinkcore.as_pyflink  # noqa: F401

        sys.path.insert(0, self.folder)     # in front of what the `flinkcore` script itself put there
        sys.argv = [self.name, *self.arguments]
        code, path, spec = self.load()
        if spec is not None:
            sys.argv[0] = path
        module = ModuleType("__main__")
        module.__dict__.update(__file__=path, __builtins__=builtins, __spec__=spec, __cached__=None,
                               __package__=None if spec is None else spec.parent,
                               __loader__=SourceFileLoader("__main__", path) if spec is None else spec.loader)
        sys.modules["__main__"] = module    # stays: what the program leaves running may still look names up
        exec(code, module.__dict__)


def _load_file(name: str) -> tuple[CodeType, str, None]:
    path = os.path.abspath(name)
    with open(path, "rb") as file:
        return compile(file.read(), path, "exec", dont_inherit=True), path, None


def _load_module(name: str) -> tuple[CodeType, str, ModuleSpec | None]:
    spec = importlib.util.find_spec(name)
    if spec is not None and spec.submodule_search_locations is not None:
        name += ".__main__"
        spec = importlib.util.find_spec(name)
    code = None if spec is None else getattr(spec.loader, "get_code", lambda name: None)(name)
    if spec is None or code is None:
        raise ModuleNotFoundError(f"No module named '{name}' that can be run; expected a module on sys.path, "
                                  f"or a package with a __main__", name=name)
    return code, spec.origin or name, spec


def failure_text(error: BaseException, *, engine_frames: bool) -> str:
    """What to tell the user of a program that raised.

    The traceback begins in the user's program, and frames of the engine are left out. A job's failure names
    the operator and holds the traceback of the user's function in its own text, so its causes are left out.
    """
    told = traceback.TracebackException.from_exception(error)
    hidden = 0 if engine_frames else _hide_engine(told, error)
    text = "".join(told.format())
    told_enough = isinstance(error, (FlinkcoreError, ImportError, SyntaxError)) or _in_user_code(error)
    if hidden and not told_enough:
        text += f"({hidden} frames of the engine are left out; --traceback shows them)\n"
    return text


def _hide_engine(told: traceback.TracebackException, error: BaseException) -> int:
    """Takes the engine's frames out of an error and those it came from. -> how many"""
    before = len(told.stack)
    told.stack[:] = [frame for frame in told.stack if not _is_engine(frame.filename)]
    hidden = before - len(told.stack)
    if isinstance(error, JobExecutionError):
        told.__cause__ = told.__context__ = None
    if told.__cause__ is not None and error.__cause__ is not None:
        hidden += _hide_engine(told.__cause__, error.__cause__)
    if told.__context__ is not None and error.__context__ is not None:
        hidden += _hide_engine(told.__context__, error.__context__)
    return hidden


def _in_user_code(error: BaseException) -> bool:
    """Whether the first failure was raised by the user's own code, which the text then shows whole."""
    while error.__cause__ is not None:
        error = error.__cause__
    frames = traceback.extract_tb(error.__traceback__)
    return not frames or not _is_engine(frames[-1].filename)


def _is_engine(filename: str) -> bool:
    return filename.startswith((ENGINE, "<frozen "))
