# SPDX-License-Identifier: Apache-2.0
"""Snapshots of tables of Python values: the pause of a freeze, the writing, the loading, and what updates cost."""

from __future__ import annotations

import gc
import time
from typing import Any

import numpy as np
import pytest

from bench import data
from flinkcore.columnar import typeinfo as ti
from flinkcore.columnar.row import Row
from flinkcore.state.codec import codec_of
from flinkcore.state.content import Content
from flinkcore.state.table import Table
from flinkcore.state.timers import TimerQueue

LONG, STRING = ti.BasicTypeInfo.LONG_TYPE_INFO(), ti.BasicTypeInfo.STRING_TYPE_INFO()
ROWS = {"smoke": 5_000, "full": 1_000_000}
CONTENTS: dict[str, tuple[Content, Any]] = {
    "long": (Content("value", codec_of(LONG)), lambda i: i),
    "row": (
        Content("value", codec_of(ti.RowTypeInfo([LONG, STRING], ["n", "s"]))),
        lambda i: Row(n=i, s="some text"),
    ),
    "list": (Content("list", codec_of(LONG)), lambda i: [i, i + 1]),
    "pickle": (Content("value"), lambda i: (i, "some text")),
}


def filled(name: str, rows: int) -> Table:
    content, make = CONTENTS[name]
    table = Table("bench", content, allow_pickle=True)
    for group_id in range(rows):
        table.put(None, group_id, make(group_id))
    return table


def written(frozen: Any) -> list[Any]:
    blocks = list(frozen.blocks())
    frozen.release()
    return blocks


@pytest.mark.parametrize("name", CONTENTS)
def bench_write_all(timed, size, name):
    rows = size(**ROWS)
    table = filled(name, rows)
    epochs = iter(range(1, 1_000))
    nbytes = sum(block.size for block in written(table.freeze(0, next(epochs))))
    blocks = timed(lambda: written(table.freeze(0, next(epochs))), rows=rows, bytes=nbytes)
    assert sum(block.size for block in blocks) <= nbytes  # the first time, how large rows are was not known


@pytest.mark.parametrize("name", CONTENTS)
def bench_load(timed, size, name):
    rows = size(**ROWS)
    table = filled(name, rows)
    blocks = written(table.freeze(0, 1))

    def load() -> Table:
        loaded = Table("bench", table.content, allow_pickle=True)
        for block in blocks:
            loaded.load(memoryview(block))
        loaded.loaded(1)
        return loaded

    loaded = timed(load, rows=rows, bytes=sum(block.size for block in blocks))
    assert len(loaded) == rows and loaded.get(None, rows - 1) == table.get(None, rows - 1)


@pytest.mark.parametrize("share", [0.01, 1.0])
def bench_pause(size, note, share):
    """How long freeze() takes after some of the rows changed, and what the increment holds."""
    rows = size(**ROWS)
    table, timers = filled("long", rows), TimerQueue()
    for group_id in range(rows):
        timers.register(group_id, group_id)
    written(table.freeze(0, 1))
    written(timers.freeze(0, 1))
    changed = np.random.default_rng(data.SEED).permutation(rows)[: int(rows * share)].tolist()
    pauses: list[float] = []
    for epoch in range(2, 7):
        for group_id in changed:
            table.put(None, group_id, epoch)
            timers.register(-epoch, group_id)
        gc.collect()  # else it may fall into the freeze, which is not what is measured here
        start = time.perf_counter()
        frozen = table.freeze(epoch - 1, epoch), timers.freeze(epoch - 1, epoch)
        pauses.append(time.perf_counter() - start)
        blocks = [block for part in frozen for block in written(part)]
        assert sum(block.size for block in blocks) < 60 * len(changed) + 20_000
        table.forget(epoch)
        timers.forget(epoch)
    note(f"longest freeze of {rows} rows and timers, {share:.0%} changed: {1e3 * max(pauses):.3f} ms")
    assert min(pauses) < 0.01


@pytest.mark.parametrize("snapshots", ["never", "before", "pending"])
def bench_update(timed, size, snapshots):
    """put() without snapshots, after one, and while one is being written."""
    rows = size(**ROWS)
    table = filled("long", rows)
    if snapshots != "never":
        frozen = table.freeze(0, 1)
        if snapshots == "before":
            frozen.release()
    ids = np.random.default_rng(data.SEED).integers(0, rows, rows).tolist()

    def update() -> None:
        put = table.put
        for group_id in ids:
            put(None, group_id, group_id)

    timed(update, rows=rows, bytes=8 * rows)
    assert table.get(None, ids[0]) == ids[0]
