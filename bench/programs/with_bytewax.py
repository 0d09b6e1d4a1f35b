# SPDX-License-Identifier: Apache-2.0
"""The programs in Bytewax, in its natural form: its own file source and sink, the same functions between them.

Windows get their event clock without the wall clock's part, as in bench.peers.with_bytewax.
"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from importlib.metadata import version as version_of
from typing import Any

import bytewax.operators as op
from bytewax.connectors.files import FileSink, FileSource
from bytewax.dataflow import Dataflow
from bytewax.operators import KeyedStream
from bytewax.operators.windowing import EventClock, TumblingWindower, collect_window
from bytewax.testing import run_main

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
WINDOW_MS = 5


def version() -> str:
    return version_of("bytewax")


def split(line: str) -> list[str]:
    return line.split()


def word_count(source: str, output: str) -> None:
    flow = Dataflow("word_count")
    lines = op.input("lines", flow, FileSource(source, batch_size=1_000))
    pairs = op.map("pair", op.flat_map("split", lines, split), lambda word: (word, 1))
    counts = op.reduce_final("count", pairs, lambda a, b: a + b)
    write(counts, output, lambda pair: f"({pair[0]},{pair[1]})")


def tumbling_time_window(source: str, output: str) -> None:
    flow = Dataflow("tumbling_time_window")
    lines = op.input("lines", flow, FileSource(source, batch_size=1_000))
    events = op.key_on("key", op.map("event", lines, event), lambda event: event[0])
    clock = EventClock(
        lambda event: EPOCH + timedelta(milliseconds=event[1]),
        wait_for_system_duration=timedelta(0),
        now_getter=lambda: EPOCH,
        to_system_utc=lambda _: None,
    )
    windower = TumblingWindower(length=timedelta(milliseconds=WINDOW_MS), align_to=EPOCH)
    windows = collect_window("window", events, clock, windower)
    write(op.map("count", windows.down, count), output, lambda pair: pair[1])


def event(line: str) -> tuple[str, int]:
    word, _, ms = line.partition(",")
    return word, int(ms)


def count(pair: Any) -> tuple[str, str]:
    """A key, the number of a window and its records, as the example shows them."""
    key, (window, records) = pair
    start = window * WINDOW_MS
    return key, f"({key},{start},{start + WINDOW_MS},{len(records)})"


def write(results: KeyedStream[Any], output: str, text: Any) -> None:
    op.output("out", op.map("text", results, lambda pair: (pair[0], text(pair))), FileSink(output))
    run_main(results.flow())


PROGRAMS = {"word_count": word_count, "tumbling_time_window": tumbling_time_window}
