# SPDX-License-Identifier: Apache-2.0
"""Values that leave state while state goes on changing."""

from __future__ import annotations

import copy
from typing import Any

from flinkcore.columnar.row import Row, make_row

_IMMUTABLE = frozenset((int, float, str, bytes, bool, type(None), complex))


def detached(value: Any) -> Any:
    """The value, or a copy of it when someone could still change it through the state.

    A function that changes and returns its accumulator (`a["n"] += 1; return a`) then still emits a value per
    record, as in PyFlink, where every emitted record is serialized.
    """
    kind = type(value)
    if kind in _IMMUTABLE:
        return value
    if kind is tuple:
        for item in value:
            if type(item) not in _IMMUTABLE:
                return copy.deepcopy(value)
        return value
    if kind is Row:
        for item in value:
            if type(item) not in _IMMUTABLE:
                return copy.deepcopy(value)
        return make_row(getattr(value, "_fields", None), list(value), value.get_row_kind())
    return copy.deepcopy(value)
