# SPDX-License-Identifier: Apache-2.0
"""Reads functions: their syntax trees, names and statements."""

from __future__ import annotations

import ast
import builtins
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import CellType, FunctionType, MethodType, ModuleType
from typing import Any

from flinkcore.columnar.row import Row
from flinkcore.expr.translate.builder import Builder
from flinkcore.expr.translate.exact import NONE, STR
from flinkcore.expr.translate.operations import Operations
from flinkcore.expr.translate.source import NoSourceError, syntax_of
from flinkcore.expr.translate.values import Choice, Known, NotTranslated, Record, Value
from flinkcore.expr.typed import Constant, Typed

DEPTH_MAX = 8  # of calls within calls

_BINARY = {
    ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.FloorDiv: "//", ast.Mod: "%", ast.Div: "/", ast.Pow: "**",
    ast.BitAnd: "&", ast.BitOr: "|", ast.BitXor: "^", ast.LShift: "<<", ast.RShift: ">>",
}  # fmt: skip
_COMPARE = {ast.Eq: "==", ast.NotEq: "!=", ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">="}
_SIGNS = {ast.USub: "-", ast.UAdd: "+", ast.Invert: "~"}


@dataclass(frozen=True)
class Fixed:
    """A name outside the function, and what it stood for when the function was read."""

    look: Callable[[], Any]
    value: Any

    def stands(self) -> bool:
        return self.look() is self.value


@dataclass(frozen=True)
class Scope:
    """The names of one function: its own, and where others are."""

    names: dict[str, Value]
    cells: dict[str, CellType]
    globals: dict[str, Any]

    def having(self, name: str, value: Value) -> Scope:
        return Scope({**self.names, name: value}, self.cells, self.globals)


class Reader:
    """Reads functions into values.

    stores : whether a function may change a list that it is given
    fixed : the names outside that they use
    """

    def __init__(self, build: Builder, stores: bool = False) -> None:
        self.build = build
        self.stores = stores
        self.operations = Operations(build)
        self.fixed: list[Fixed] = []
        self._depth = 0

    def call(self, called: FunctionType | MethodType, given: Sequence[Value]) -> Value:
        """What a Python function returns for these arguments."""
        if self._depth >= DEPTH_MAX:
            raise NotTranslated("its calls are too deep")
        node, scope = self.entered(called, given)
        self._depth += 1
        try:
            return self.read(node.body, scope) if isinstance(node, ast.Lambda) else self._block(node.body, scope)
        finally:
            self._depth -= 1

    def entered(
        self, called: FunctionType | MethodType, given: Sequence[Value]
    ) -> tuple[ast.Lambda | ast.FunctionDef, Scope]:
        """What a function consists of, and its names when it begins with these arguments."""
        function: Any = called
        args = list(given)
        if isinstance(called, MethodType):
            function = called.__func__
            args.insert(0, Known(called.__self__))
        try:
            node = syntax_of(function)
        except NoSourceError as error:
            raise NotTranslated(f"{function.__name__} {error}") from None
        return node, Scope(
            self._arguments(function, node.args, args),
            dict(zip(function.__code__.co_freevars, function.__closure__ or ())),
            function.__globals__,
        )

    def _arguments(self, function: FunctionType, known: ast.arguments, args: Sequence[Value]) -> dict[str, Value]:
        names = [argument.arg for argument in (*known.posonlyargs, *known.args)]
        defaults = list(function.__defaults__ or ())
        missing = len(names) - len(args)
        if known.vararg or known.kwarg or known.kwonlyargs or not 0 <= missing <= len(defaults):
            raise NotTranslated(f"{function.__name__} called with {len(args)} arguments")
        return dict(zip(names, [*args, *map(self.build.constant, defaults[len(defaults) - missing :])]))

    # -- statements --------------------------------------------------------------------------------------

    def _block(self, statements: Sequence[ast.stmt], scope: Scope) -> Value:
        """What a run of statements returns."""
        for i, statement in enumerate(statements):
            match statement:
                case ast.Return(value=None):
                    return Constant(None, NONE)
                case ast.Return(value=ast.expr() as value):
                    return self.read(value, scope)
                case ast.Pass() | ast.Expr(value=ast.Constant()):
                    continue
                case (
                    ast.Assign(targets=[target], value=value)
                    | ast.AnnAssign(target=target, value=ast.expr() as value)
                ):
                    scope = self.assigned(target, self.read(value, scope), scope)
                case ast.AugAssign(target=ast.Subscript() as target, op=op, value=value) if type(op) in _BINARY:
                    left, right = self.read(target, scope), self.read(value, scope)
                    scope = self.assigned(target, self.operations.binary(_BINARY[type(op)], left, right), scope)
                case ast.AugAssign(target=ast.Name(id=name), op=op, value=value) if type(op) in _BINARY:
                    left, right = self._name(name, scope), self.read(value, scope)
                    if isinstance(left, Record):
                        raise NotTranslated(f"`{ast.unparse(statement)}`")
                    scope = scope.having(name, self.operations.binary(_BINARY[type(op)], left, right))
                case ast.If(test=test, body=body, orelse=orelse):
                    return self._if(test, [*body, *statements[i + 1 :]], [*orelse, *statements[i + 1 :]], scope)
                case _:
                    raise NotTranslated(f"`{ast.unparse(statement).splitlines()[0]}`")
        return Constant(None, NONE)

    def _if(self, test: ast.expr, then: list[ast.stmt], other: list[ast.stmt], scope: Scope) -> Value:
        condition = self.build.truth(self.read(test, scope))
        return self.build.either(condition, lambda: self._block(then, scope), lambda: self._block(other, scope))

    def assigned(self, target: ast.expr, value: Value, scope: Scope) -> Scope:
        """The names when a value has been assigned."""
        if isinstance(target, ast.Name):
            return scope.having(target.id, value)
        if isinstance(target, (ast.Tuple, ast.List)) and isinstance(value, Record) and value.kind != "dict":
            if len(target.elts) != len(value.fields):
                raise NotTranslated(f"an assignment of {len(value.fields)} values to `{ast.unparse(target)}`")
            for element, field in zip(target.elts, value.fields):
                scope = self.assigned(element, field, scope)
            return scope
        if isinstance(target, ast.Subscript) and isinstance(target.value, ast.Name):
            return self._store(target.value.id, self.read(target.slice, scope), value, scope)
        raise NotTranslated(f"an assignment to `{ast.unparse(target)}`")

    def _store(self, name: str, place: Value, value: Value, scope: Scope) -> Scope:
        """name[place] = value: of a list or a dict that nothing else refers to, so that nobody sees it change."""
        changed = scope.names.get(name)
        if (
            self.stores
            and self._depth == 1
            and isinstance(changed, Record)
            and changed.kind in ("list", "dict")
            and isinstance(place, Constant)
            and (index := _index_of(changed, place)) is not None
            and not any(_refers(other, changed) for known, other in scope.names.items() if known != name)
            and not _refers(value, changed)
        ):
            fields = list(changed.fields)
            fields[index] = value
            return scope.having(name, Record(changed.kind, tuple(fields), changed.names))
        raise NotTranslated(f"an assignment to an item of {name}")

    # -- expressions -------------------------------------------------------------------------------------

    def read(self, node: ast.expr, scope: Scope) -> Value:
        """What an expression stands for."""
        build, operations = self.build, self.operations
        match node:
            case ast.Constant(value=value):
                return build.constant(value)
            case ast.Name(id=name):
                return self._name(name, scope)
            case ast.Tuple(elts=elements) | ast.List(elts=elements):
                kind = "tuple" if isinstance(node, ast.Tuple) else "list"
                return Record(kind, tuple(self.read(element, scope) for element in elements))
            case ast.Dict(keys=keys, values=values) if _are_names(keys):
                names = tuple(key.value for key in keys)  # type: ignore[union-attr]
                return Record("dict", tuple(self.read(each, scope) for each in values), names)
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _BINARY:
                return operations.binary(_BINARY[type(op)], self.read(left, scope), self.read(right, scope))
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return build.inverse(build.truth(self.read(operand, scope)))
            case ast.UnaryOp(op=sign, operand=operand):
                return operations.sign(_SIGNS[type(sign)], self.read(operand, scope))
            case ast.BoolOp(op=op, values=values):
                return self._logic(isinstance(op, ast.And), values, scope)
            case ast.Compare(left=left, ops=ops, comparators=comparators):
                return self._comparisons(self.read(left, scope), ops, comparators, scope)
            case ast.IfExp(test=test, body=body, orelse=orelse):
                condition = build.truth(self.read(test, scope))
                return build.either(condition, lambda: self.read(body, scope), lambda: self.read(orelse, scope))
            case ast.Subscript(value=value, slice=ast.Slice(lower=lower, upper=upper, step=None)):
                open_end = ast.Constant(None)
                first, end = (self.read(each or open_end, scope) for each in (lower, upper))
                return operations.part(self.read(value, scope), first, end)
            case ast.Subscript(slice=ast.Slice()):
                pass
            case ast.Subscript(value=value, slice=place):
                where = self.read(place, scope)
                return build.spread(self.read(value, scope), lambda each: self._item(each, where, node))
            case ast.Attribute(value=value, attr=name):
                return build.spread(self.read(value, scope), lambda each: self._attribute(each, name, node))
            case ast.Call(func=function, args=args, keywords=keywords):
                return self._call(function, args, keywords, node, scope)
            case ast.JoinedStr(values=parts):
                return operations.joined([self._formatted(part, scope) for part in parts])
        raise NotTranslated(f"`{ast.unparse(node)}`")

    def _name(self, name: str, scope: Scope) -> Value:
        if name in scope.names:
            return scope.names[name]
        if name in scope.cells:
            cell = scope.cells[name]
            return self._outside(lambda: cell.cell_contents, name)
        known = scope.globals
        if name in known:
            return self._outside(lambda: known.get(name), name)
        if hasattr(builtins, name):
            return Known(getattr(builtins, name))
        raise NotTranslated(f"the name {name}, which is not defined")

    def _outside(self, look: Callable[[], Any], name: str) -> Value:
        try:
            value = look()
        except ValueError:  # a cell that is empty yet
            raise NotTranslated(f"the name {name}, which is not defined") from None
        self.fixed.append(Fixed(look, value))
        return self.build.constant(value)

    def _logic(self, is_and: bool, nodes: Sequence[ast.expr], scope: Scope) -> Value:
        value = self.read(nodes[0], scope)
        if len(nodes) == 1:
            return value

        def rest() -> Value:
            return self._logic(is_and, nodes[1:], scope)

        def first() -> Value:
            return value

        condition = self.build.truth(value)
        return self.build.either(condition, rest, first) if is_and else self.build.either(condition, first, rest)

    def _comparisons(self, left: Value, ops: Sequence[ast.cmpop], nodes: Sequence[ast.expr], scope: Scope) -> Value:
        """a < b < c is a < b and b < c, where b is computed once."""
        right = self.read(nodes[0], scope)
        first = self._compare(ops[0], left, right)
        if len(ops) == 1:
            return first
        condition = self.build.truth(first)
        return self.build.either(condition, lambda: self._comparisons(right, ops[1:], nodes[1:], scope), lambda: first)

    def _compare(self, op: ast.cmpop, left: Value, right: Value) -> Value:
        match op:
            case ast.In():
                return self.operations.contained(left, right)
            case ast.NotIn():
                return self.build.inverse(self.build.truth(self.operations.contained(left, right)))
            case ast.Is() | ast.IsNot():
                if not (isinstance(right, Constant) and right.type == NONE):
                    raise NotTranslated("`is` of anything but None")
                found = self.operations.is_none(left)
                return self.build.inverse(self.build.truth(found)) if isinstance(op, ast.IsNot) else found
        return self.operations.compare(_COMPARE[type(op)], left, right)

    # -- fields, attributes and calls --------------------------------------------------------------------

    def _item(self, value: Value, place: Value, node: ast.expr) -> Value:
        if isinstance(value, Record) and isinstance(place, Constant):
            index = _index_of(value, place)
            if index is not None:
                return value.fields[index]
        raise NotTranslated(f"`{ast.unparse(node)}`")

    def _attribute(self, value: Value, name: str, node: ast.expr) -> Value:
        is_row = isinstance(value, Record) and value.kind == "row"
        if isinstance(value, Record) and is_row and value.names and name in value.names and not hasattr(Row, name):
            return value.fields[value.names.index(name)]
        if isinstance(value, Known) and not isinstance(value.object, type):
            owner = value.object
            if isinstance(owner, ModuleType):
                return self._outside(lambda: getattr(owner, name, None), name)
            kind = type(owner)
            mine = getattr(owner, "__dict__", {})
            if name not in mine and not hasattr(kind, name):
                raise NotTranslated(f"`{ast.unparse(node)}`, which is not there")
            known = mine.get(name, getattr(kind, name, None))
            if kind.__getattribute__ is object.__getattribute__ and not hasattr(type(known), "__get__"):
                return self._outside(lambda: mine.get(name, getattr(kind, name, None)), name)
            if isinstance(known, FunctionType) and name not in mine:
                return Known(MethodType(known, owner))
        raise NotTranslated(f"`{ast.unparse(node)}`")

    def _call(
        self,
        function: ast.expr,
        args: Sequence[ast.expr],
        keywords: Sequence[ast.keyword],
        node: ast.expr,
        scope: Scope,
    ) -> Value:
        if isinstance(function, ast.Attribute) and not keywords:
            owner = self.read(function.value, scope)
            if isinstance(owner, (Typed, Choice)):
                return self.operations.method(owner, function.attr, [self.read(arg, scope) for arg in args])
        called = self.read(function, scope)
        given = [self.read(arg, scope) for arg in args]
        if isinstance(called, Known) and called.object is Row:
            named = {keyword.arg: self.read(keyword.value, scope) for keyword in keywords}
            if bool(given) != bool(named) and None not in named:
                return Record("row", tuple(given or named.values()), tuple(map(str, named)) or None)
        elif isinstance(called, Known) and not keywords:
            if isinstance(called.object, (FunctionType, MethodType)):
                return self.call(called.object, given)
            return self.operations.builtin(called.object, given)
        raise NotTranslated(f"`{ast.unparse(node)}`")

    def _formatted(self, part: ast.expr, scope: Scope) -> Typed:
        match part:
            case ast.Constant(value=text):
                return Constant(text, STR)
            case ast.FormattedValue(value=value, conversion=-1, format_spec=None):
                return self.operations.formatted(self.read(value, scope))
        raise NotTranslated(f"`{ast.unparse(part)}` in a formatted string")


def _are_names(keys: Sequence[ast.expr | None]) -> bool:
    """Whether these are the keys of a dict that is known: different texts."""
    names = [key.value for key in keys if isinstance(key, ast.Constant) and isinstance(key.value, str)]
    return len(set(names)) == len(keys) > 0


def _index_of(record: Record, place: Constant) -> int | None:
    """Which field record[place] is; None: none, as far as is known."""
    index: Any = place.value
    if type(index) is int and record.kind != "dict" and -len(record.fields) <= index < len(record.fields):
        return index % len(record.fields)
    if record.names and isinstance(index, str) and index in record.names:
        return record.names.index(index)
    return None


def _refers(value: Value, record: Record) -> bool:
    """Whether a value is this very record or holds it."""
    if isinstance(value, Choice):
        return _refers(value.then, record) or _refers(value.other, record)
    return value is record or (isinstance(value, Record) and any(_refers(field, record) for field in value.fields))
