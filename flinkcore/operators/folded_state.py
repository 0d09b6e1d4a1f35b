# SPDX-License-Identifier: Apache-2.0
"""Windows of a function whose accumulators were kept in columns, as Python has them: for who goes on by rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import gcd
from types import MappingProxyType
from typing import Any

import numpy as np

from flinkcore._native.agg import Accumulators
from flinkcore._native.window import SessionIndex
from flinkcore.expr.folded import FOLDED, FOLDED_PANES, FOLDED_SESSIONS, FoldedFields
from flinkcore.state.manager import StateManager
from flinkcore.state.parts import KEYS
from flinkcore.time.windows import TimeWindow


def restored_windows(state: StateManager, stored: Any) -> Iterator[tuple[TimeWindow, list[int], list[Any]]]:
    """Takes out what a snapshot holds and nobody has asked for: each window with the ids of its keys, and their
    accumulators.

    stored : the description beside it. StateFormatError: it is none
    """
    found: dict[str, dict[Any, Accumulators]] = {FOLDED: {}, FOLDED_PANES: {}}
    fields: FoldedFields | None = None
    sessions = state.unclaimed_part(FOLDED_SESSIONS)
    for name, of_name in found.items():
        for namespace in state.namespaces(name):
            if state.unclaimed_part(name, namespace) is not None:
                fields = fields or FoldedFields.of_description(stored)
                parent = KEYS if sessions is None else FOLDED_SESSIONS
                of_name[namespace] = state.part(name, fields.accumulators, namespace, parent)
                state.drop(name, namespace)
    if sessions is not None:
        index = state.part(FOLDED_SESSIONS, SessionIndex)
        state.drop(FOLDED_SESSIONS)
        if fields is not None:
            yield from session_contents(index, found[FOLDED][None], fields)
    elif fields is not None:
        slide_ms, offset_ms = stored.get("slide_ms", stored["size_ms"]), stored.get("offset_ms", 0)
        times = stored["size_ms"], slide_ms, offset_ms
        yield from window_contents(found[FOLDED], found[FOLDED_PANES], times, fields)


def window_contents(
    windows: Mapping[int, Accumulators],
    panes: Mapping[int, Accumulators],
    times: tuple[int, int, int],
    fields: FoldedFields,
) -> Iterator[tuple[TimeWindow, list[int], list[Any]]]:
    """Each window with the ids of its keys, and their accumulators.

    windows, panes : by start; a window is what is there under its own start, and all panes in it
    times : size, slide and offset of the windows, in milliseconds
    """
    size_ms, slide_ms, offset_ms = times
    starts = set(windows)
    for pane in panes:
        starts.update(range(pane - (pane - offset_ms) % slide_ms, pane - size_ms, -slide_ms))
    for start in sorted(starts):
        parts = [windows[start]] if start in windows else []
        if panes:
            within = range(start, start + size_ms, gcd(size_ms, slide_ms))
            parts += [panes[each] for each in within if each in panes]
        whole = parts[0]
        if len(parts) > 1:
            whole = fields.accumulators()
            for part in parts:
                whole.merge_all(part)
        ids = whole.used_ids()
        yield TimeWindow(start, start + size_ms), ids.tolist(), fields.objects(whole, ids)


def session_contents(
    sessions: SessionIndex,
    accumulators: Accumulators,
    fields: FoldedFields,
    others: Mapping[int, Any] = MappingProxyType({}),
) -> Iterator[tuple[TimeWindow, list[int], list[Any]]]:
    """Each session that holds something with the id of its key, and its accumulator, in the order in which they began
    to be.

    others : what sessions hold that is not among the accumulators, by slot
    """
    slots = sessions.slots()
    slots = slots[np.argsort(sessions.created(slots), kind="stable")]
    used = slots[np.isin(slots, accumulators.used_ids())]
    values = {**dict(zip(used.tolist(), fields.objects(accumulators, used))), **others}
    bounds = zip(sessions.starts(slots).tolist(), sessions.ends(slots).tolist())
    for slot, (start, end), group_id in zip(slots.tolist(), bounds, sessions.group_ids(slots).tolist()):
        if slot in values:
            yield TimeWindow(start, end), [group_id], [values[slot]]
