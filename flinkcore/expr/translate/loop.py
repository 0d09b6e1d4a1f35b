# SPDX-License-Identifier: Apache-2.0
"""A fold as a compiled loop over records, in their order: what depends on an accumulator, with Python's meaning.

What only records say is computed before, on columns. The loop checks what it does: where an integer would need more
than 64 bits, a divisor is 0, and so on, it ends at that record, and its answer is void. Nothing here is asked to be
right for all values, see exact.py. The compiler is imported when the first loop is made; what it makes is kept in
memory, and on disk where the user asks for it (loop_store.py).
"""

from __future__ import annotations

import hashlib
import logging
import pickle
import sys
import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

import flinkcore
from flinkcore.expr.evaluate import BatchRows
from flinkcore.expr.translate import loop_store
from flinkcore.expr.translate.choice import AFTER, CHOOSE, COMPARISONS, NOT, TRUTH
from flinkcore.expr.translate.exact import BOOL, EXACT, FLOAT, INT, MIN, Unequal, without_none
from flinkcore.expr.translate.fold import Fold
from flinkcore.expr.translate.numbers import (
    ABSOLUTE,
    BOOL_OPS,
    FLOAT_OPS,
    INT_OF_BOOL,
    INT_OPS,
    NEGATE,
    SAME,
    TO_DOUBLE,
    TRUE_DIVIDE,
)
from flinkcore.expr.translate.program import Program
from flinkcore.expr.translate.updates import LIMITS
from flinkcore.expr.translate.values import NotTranslated
from flinkcore.expr.typed import Constant, InputColumn, Invocation, Typed
from flinkcore.expr.vector import Vector

_lock = threading.Lock()
_compiled: dict[tuple[str, ...], Callable[..., int]] = {}  # a loop of several subtasks is compiled once

log = logging.getLogger(__name__)

_OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy", "fastmath": False}
LINES_MAX = 2_000  # of a loop: what two branches share is written twice
DTYPES: dict[pa.DataType, Any] = {INT: np.int64, FLOAT: np.float64, BOOL: np.bool_}

_COMPARED = {function: name for name, function in COMPARISONS.items()}
_OF_INTS = {INT_OPS[name]: name for name in ("+", "-", "*", "//", "%", "&", "|", "^")}
_OF_FLOATS = {FLOAT_OPS[name]: name for name in ("+", "-", "*")}
_OF_BOOLS = {function: name for name, function in BOOL_OPS.items()}


class Loop:
    """The loop of a fold; compiled by compile(), once. NotTranslated: something in it has no counterpart"""

    def __init__(self, fold: Fold) -> None:
        writer = _Writer(fold.record_fields)
        first = fold.first if fold.starts is None else ()
        self.source = writer.written(fold.step, len(first))
        self._inputs = Program([*writer.inputs, *first])
        self._input_types = [each.type for each in (*writer.inputs, *first)]
        self._field_types = fold.shape.types
        self._call: Callable[..., int] | None = None

    @property
    def is_ready(self) -> bool:
        return self._call is not None

    def compile(self) -> None:
        """Takes a second or two; may be called by another thread than the one that runs the loop."""
        key = (self.source, *map(str, self._input_types), *map(str, self._field_types))
        with _lock:
            call = _compiled.get(key)
            if call is None:
                call = _compiled[key] = self._compiled()
        self._call = call

    def _compiled(self) -> Callable[..., int]:
        import numba

        kinds = {INT: numba.int64, FLOAT: numba.float64, BOOL: numba.boolean}
        read = [numba.types.Array(kinds[type], 1, "C", readonly=True) for type in self._input_types]
        written = [kinds[type][::1] for type in self._field_types]
        at = numba.types.Array(numba.int32, 1, "C", readonly=True)
        signature = numba.int64(at, numba.boolean[::1], numba.boolean, *read, *written, *written)
        text = f"{self.source}\n{signature}\n{_OPTIONS}"
        scope: dict[str, Any] = {
            "__name__": __name__, "INF": np.inf, "NAN": np.nan, "float64": np.float64, "int64": np.int64
        }  # fmt: skip
        exec(compile(self.source, "<fold>", "exec", dont_inherit=True), scope)
        function = scope["fold"]
        # Machine code of several processes comes together in one, where symbols go by these names.
        function.__name__ = function.__qualname__ = f"fold_{hashlib.sha256(text.encode()).hexdigest()}"
        made = numba.njit(**_OPTIONS)(function)
        made._cache = _OnDisk(text)
        made.compile(signature)
        made.disable_compile()
        found: Callable[..., int] = made
        return found

    def run(
        self,
        rows: BatchRows,
        at: np.ndarray,
        is_new: np.ndarray,
        state: Sequence[np.ndarray],
        after: Sequence[np.ndarray] | None,
    ) -> None:
        """Folds record i into place at[i] of the state. Unequal: the state is void, ask somebody else

        at : int32[n];  is_new : bool[places], where the first record makes the fields
        after : where the fields behind each record go
        """
        assert self._call is not None
        inputs = [
            _array(without_none(vector), type, rows.length)
            for vector, type in zip(self._inputs.run(rows), self._input_types)
        ]
        found = self._call(at, is_new, after is not None, *inputs, *state, *(state if after is None else after))
        if found >= 0:
            raise Unequal("a record that the loop leaves to others")


class _OnDisk:
    """What numba's dispatchers ask for a compiled function before they compile it (numba: core.caching._Cache).

    text : of the function, its signature and the options of the compiler
    """

    cache_path = None

    def __init__(self, text: str) -> None:
        self._text = text

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        from numba.core.compiler import CompileResult

        data = loop_store.read(self._key(target_context))
        if data is None:
            return None
        try:
            target_context.refresh()
            return CompileResult._rebuild(target_context, *pickle.loads(data))
        except Exception:
            log.warning("a compiled loop on disk is not what this version wrote, and is compiled again", exc_info=True)
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        from numba.core import serialize

        try:
            loop_store.write(self._key(data.target_context), serialize.dumps(data._reduce()))
        except Exception:
            log.warning("a compiled loop could not be kept on disk", exc_info=True)

    def _key(self, target_context: Any) -> str:
        """All that the machine code depends on."""
        import llvmlite
        import numba

        versions = [flinkcore.__version__, numba.__version__, llvmlite.__version__, np.__version__, sys.version]
        processor = target_context.codegen().magic_tuple()
        return hashlib.sha256(repr((self._text, versions, processor)).encode()).hexdigest()


def _array(vector: Vector, type: pa.DataType, count: int) -> np.ndarray:
    values = vector.values()
    if vector.constant:
        return np.full(count, values, DTYPES[type])
    return np.ascontiguousarray(values, DTYPES[type])


class _Writer:
    """Writes the source of a loop.

    inputs : what is computed of records before
    """

    def __init__(self, record_fields: int) -> None:
        self.inputs: list[Typed] = []
        self._record_fields = record_fields
        self._lines: list[str] = []
        self._depth = 2
        self._names = 0
        self._known: dict[int, str] = {}
        self._of_records: dict[int, bool] = {}

    def written(self, step: Sequence[Typed], firsts: int) -> str:
        """firsts : how many fields the first record makes: all or none"""
        results = [self._value(field) for field in step]
        inputs = [f"r{i}" for i in range(len(self.inputs))]
        first = [f"f{i}" for i in range(firsts)]
        state, after = ([f"{letter}{i}" for i in range(len(step))] for letter in "sa")
        lines = [f"def fold(at, is_new, keeps, {', '.join([*inputs, *first, *state, *after])}):"]
        lines += ["    for i in range(len(at)):", "        j = at[i]"]
        if first:
            lines += ["        if is_new[j]:", "            is_new[j] = False"]
            lines += [f"            s{i}[j] = f{i}[i]" for i in range(firsts)]
            lines += ["            if keeps:", *(f"                a{i}[i] = f{i}[i]" for i in range(firsts))]
            lines += ["            continue"]
        lines += [f"        o{i} = s{i}[j]" for i in range(len(step))]
        lines += self._lines
        lines += [f"        s{i}[j] = {result}" for i, result in enumerate(results)]
        lines += ["        if keeps:", *(f"            a{i}[i] = {result}" for i, result in enumerate(results))]
        lines += ["    return -1", ""]
        return "\n".join(lines)

    def _say(self, line: str) -> None:
        if len(self._lines) > LINES_MAX:
            raise NotTranslated("it is too long")
        self._lines.append("    " * self._depth + line)

    def _named(self, text: str) -> str:
        name = f"v{self._names}"
        self._names += 1
        self._say(f"{name} = {text}")
        return name

    def _fails_if(self, condition: str) -> None:
        self._say(f"if {condition}:")
        self._say("    return i")

    def _value(self, node: Typed) -> str:
        """The name of a value, or the value itself where it is a constant."""
        if isinstance(node, Constant):
            return _literal(node)
        known = self._known.get(id(node))
        if known is None:
            known = self._known[id(node)] = self._made(node)
        return known

    def _made(self, node: Typed) -> str:
        if self._is_of_records(node):
            if node.type not in DTYPES:
                raise NotTranslated(f"a {node.type}")
            self.inputs.append(node)
            return f"r{len(self.inputs) - 1}[i]"
        if isinstance(node, InputColumn):
            return f"o{node.index - self._record_fields}"
        assert isinstance(node, Invocation)
        function = node.function
        if function is CHOOSE:
            return self._choice(node)
        args = [self._value(arg) for arg in node.args]
        types = [arg.type for arg in node.args]
        if function in (AFTER, SAME):
            return args[0]
        if function in _COMPARED:
            return self._comparison(_COMPARED[function], args, types)
        if function is TRUTH:
            return self._named(f"{args[0]} != 0")
        if function is NOT:
            return self._named(f"not {args[0]}")
        if function in _OF_BOOLS:
            return self._named(f"{args[0]} {_OF_BOOLS[function]} {args[1]}")
        if function in (TO_DOUBLE, INT_OF_BOOL):
            return self._named(f"{'float64' if function is TO_DOUBLE else 'int64'}({args[0]})")
        if function in LIMITS:
            low, high = LIMITS[function]
            self._fails_if(f"{args[0]} < {low} or {args[0]} > {high}")
            return args[0]
        if function in _OF_FLOATS:
            return self._named(f"float64({args[0]}) {_OF_FLOATS[function]} float64({args[1]})")
        if function is TRUE_DIVIDE:
            left, right = (self._exact(arg, type) for arg, type in zip(args, types))
            self._fails_if(f"{right} == 0.0")
            return self._named(f"{left} / {right}")
        if function in _OF_INTS:
            return self._of_ints(_OF_INTS[function], *(self._named(f"int64({arg})") for arg in args))
        if function in (NEGATE, ABSOLUTE):
            return self._of_one("-" if function is NEGATE else "abs", args[0], node.type)
        raise NotTranslated(f"{function.name} of what was there before")

    def _choice(self, node: Invocation) -> str:
        condition = self._value(node.args[0])
        name = f"v{self._names}"
        self._names += 1
        for head, branch in ((f"if {condition}:", node.args[1]), ("else:", node.args[2])):
            self._say(head)
            before, self._depth = dict(self._known), self._depth + 1
            self._say(f"{name} = {self._value(branch)}")
            self._known, self._depth = before, self._depth - 1
        return name

    def _comparison(self, name: str, args: list[str], types: list[pa.DataType]) -> str:
        if FLOAT in types and types[0] != types[1]:
            args = [self._exact(arg, type) for arg, type in zip(args, types)]
        elif types[0] != types[1]:
            args = [f"int64({arg})" for arg in args]
        return self._named(f"{args[0]} {name} {args[1]}")

    def _exact(self, arg: str, type: pa.DataType) -> str:
        """A number as the double that is equal to it."""
        if type == INT:
            self._fails_if(f"{arg} < {-EXACT} or {arg} > {EXACT}")
        return self._named(f"float64({arg})")

    def _of_ints(self, name: str, left: str, right: str) -> str:
        if name in ("//", "%"):
            self._fails_if(f"{right} == 0 or ({right} == -1 and {left} == {_INT_MIN})")
        if name == "*":  # in doubles, which tell what is far from the limits
            self._fails_if(f"abs(float64({left}) * float64({right})) > {2.0**62!r}")
        made = self._named(f"{left} {name} {right}")
        if name == "+":
            self._fails_if(f"(({left} ^ {made}) & ({right} ^ {made})) < 0")
        elif name == "-":
            self._fails_if(f"(({left} ^ {right}) & ({left} ^ {made})) < 0")
        return made

    def _of_one(self, name: str, arg: str, type: pa.DataType) -> str:
        if type == FLOAT:
            return self._named(f"-{arg}" if name == "-" else f"abs({arg})")
        value = self._named(f"int64({arg})")
        self._fails_if(f"{value} == {_INT_MIN}")
        return self._named(f"-{value}" if name == "-" else f"abs({value})")

    def _is_of_records(self, node: Typed) -> bool:
        found = self._of_records.get(id(node))
        if found is None:
            if isinstance(node, InputColumn):
                found = node.index < self._record_fields
            else:
                found = not isinstance(node, Invocation) or all(map(self._is_of_records, node.args))
            self._of_records[id(node)] = found
        return found


_INT_MIN = f"({MIN + 1} - 1)"


def _literal(node: Constant) -> str:
    value: Any = node.value
    if node.type == INT:
        return _INT_MIN if value == MIN else f"({value})"
    if node.type == BOOL:
        return str(value)
    if node.type != FLOAT:
        raise NotTranslated(f"a {node.type}")
    if value != value:
        return "NAN"
    return f"({value!r})" if abs(value) != np.inf else "INF" if value > 0 else "(-INF)"
