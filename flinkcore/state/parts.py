# SPDX-License-Identifier: Apache-2.0
"""The kinds of parts: which class reads the blocks of which."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from flinkcore._native.agg import Accumulators
from flinkcore._native.group import GroupIndex
from flinkcore._native.window import SessionIndex
from flinkcore.state.column_rows import ColumnRows
from flinkcore.state.keys import KeyIndex
from flinkcore.state.part import PartState
from flinkcore.state.stored import StoredRows

#: The name of the part that holds the keys of a keyed operator. The ids of other parts are its ids.
KEYS = "keys"
#: What a description holds beside what the part says of itself: how a reader can show its rows. It is not compared.
SHOWN = "shown"

_MAKERS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "accumulators": Accumulators.of_description,
    "groups": GroupIndex.of_description,
    "keys": KeyIndex.of_description,
    "rows": ColumnRows.of_description,
    "sessions": SessionIndex.of_description,
    "table": partial(StoredRows, "table"),
    "timers": partial(StoredRows, "timers"),
}


def make_part(kind: str, description: dict[str, Any]) -> Any:
    """An empty part to load blocks into. ValueError: there is no such kind, or it has no such description."""
    maker = _MAKERS.get(kind)
    if maker is None:
        raise ValueError(f"there is no state of kind '{kind}'; expected one of {', '.join(_MAKERS)}")
    return maker({key: value for key, value in description.items() if key != SHOWN})


def shown_of(entry: PartState) -> dict[str, Any] | None:
    """What the operator said for readers without the program, see StateManager.part; None when it said nothing."""
    found = entry.description.get(SHOWN)
    return found if isinstance(found, dict) else None
