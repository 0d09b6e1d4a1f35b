# SPDX-License-Identifier: Apache-2.0
"""The syntax tree of a function, when it is certain that the function is what the tree says."""

from __future__ import annotations
import __future__

import ast
import linecache
import warnings
from collections.abc import Iterator
from functools import lru_cache
from types import CodeType, FunctionType


class NoSourceError(Exception):
    """Why a function's syntax tree cannot be had, in words that follow its name."""


def syntax_of(function: FunctionType) -> ast.Lambda | ast.FunctionDef:
    """The node that a function was compiled from. NoSourceError: there is none that surely is

    A file is believed only when it compiles to the very code of the function: it may have changed since.
    """
    code = function.__code__
    lines = linecache.getlines(code.co_filename, function.__globals__)
    if not lines:
        raise NoSourceError("has no source")
    module = _module("".join(lines), code.co_filename, code.co_flags & _FUTURES)
    if module is None or code not in module.codes:
        raise NoSourceError("is not what its source says")
    nodes = [node for node in module.functions.get(code.co_firstlineno, ()) if _is_of(node, code)]
    if len(nodes) != 1:
        raise NoSourceError("is one of several functions in a line")
    return nodes[0]


class _Module:
    """A file: the codes that it compiles to, and its functions by their first lines."""

    def __init__(self, tree: ast.Module, code: CodeType) -> None:
        self.codes = frozenset(_codes(code))
        self.functions: dict[int, list[ast.Lambda | ast.FunctionDef]] = {}
        for node in ast.walk(tree):
            if isinstance(node, (ast.Lambda, ast.FunctionDef)):
                decorators = [] if isinstance(node, ast.Lambda) else node.decorator_list
                first = min([node.lineno, *(decorator.lineno for decorator in decorators)])
                self.functions.setdefault(first, []).append(node)


_FUTURES = 0
for _name in __future__.all_feature_names:
    _FUTURES |= getattr(__future__, _name).compiler_flag


@lru_cache(maxsize=32)
def _module(text: str, filename: str, futures: int) -> _Module | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what there was to warn of has been said when the file was imported
            return _Module(ast.parse(text), compile(text, filename, "exec", futures, dont_inherit=True))
    except (SyntaxError, ValueError):
        return None


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)


def _is_of(node: ast.Lambda | ast.FunctionDef, code: CodeType) -> bool:
    """Whether a code of the same file and first line is that of this node."""
    name = "<lambda>" if isinstance(node, ast.Lambda) else node.name
    arguments = [argument.arg for argument in (*node.args.posonlyargs, *node.args.args)]
    if code.co_name != name or list(code.co_varnames[: code.co_argcount]) != arguments:
        return False
    if not hasattr(code, "co_positions"):  # before Python 3.11
        return True
    last = node.end_lineno or node.lineno, node.end_col_offset or 0
    body = node.body if isinstance(node.body, list) else [node.body]
    first = body[0].lineno, body[0].col_offset
    places = [place for place in code.co_positions() if None not in place and place[2:] != (0, 0)]
    return bool(places) and all(
        first <= (line, column) and (end_line, end_column) <= last for line, end_line, column, end_column in places
    )
