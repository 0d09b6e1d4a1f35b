# SPDX-License-Identifier: Apache-2.0
"""The kinds of parts: which class reads the blocks of which."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from flinkcore._native.agg import Accumulators
from flinkcore._native.group import GroupIndex
from flinkcore._native.window import SessionIndex
from flinkcore.state.keys import KeyIndex
from flinkcore.state.stored import StoredRows

#: The name of the part that holds the keys of a keyed operator. The ids of other parts are its ids.
KEYS = "keys"

_MAKERS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "accumulators": Accumulators.of_description,
    "groups": GroupIndex.of_description,
    "keys": KeyIndex.of_description,
    "sessions": SessionIndex.of_description,
    "table": partial(StoredRows, "table"),
    "timers": partial(StoredRows, "timers"),
}


def make_part(kind: str, description: dict[str, Any]) -> Any:
    """An empty part to load blocks into. ValueError: there is no such kind, or it has no such description."""
    maker = _MAKERS.get(kind)
    if maker is None:
        raise ValueError(f"there is no state of kind '{kind}'; expected one of {', '.join(_MAKERS)}")
    return maker(description)
