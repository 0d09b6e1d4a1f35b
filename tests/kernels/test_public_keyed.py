# SPDX-License-Identifier: Apache-2.0
"""Aggregates by key and their snapshots, against dicts of records."""

from __future__ import annotations

import gc
import random
import struct
import threading
import time
import zlib
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from flinkcore.errors import NewerFormatError, StateFormatError, UnsupportedOperationError
from flinkcore.kernels import KeyedAggregates, group_by
from tests.kernels.inputs import ExportsSchema, ExportsStream, forms

GOLDEN = Path(__file__).parents[1] / "golden" / "kernels"
SCHEMA = pa.schema(
    {"word": pa.string(), "day": pa.date32(), "v": pa.int64(), "x": pa.float64(), "other": pa.bool_()}
)
KEYS = ("word", "day")
AGGREGATES = {
    "n": "count_star",
    "total": ("sum", "v"),
    "mean": ("avg", "x"),
    "top": ("max", "word"),
    "best": ("max_by", "word", "v"),
    "first": ("first", "v"),
    "some": ("count", "other"),
}


def random_batch(rng, n, words=8):
    def maybe(value):
        return None if rng.random() < 0.15 else value

    return pa.record_batch(
        [
            pa.array(
                [maybe(f"word {rng.randrange(words)}" * rng.choice((1, 4))) for _ in range(n)], pa.string()
            ),
            pa.array([maybe(rng.randrange(3)) for _ in range(n)], pa.int32()).cast(pa.date32()),
            pa.array([maybe(rng.randrange(-50, 50)) for _ in range(n)], pa.int64()),
            pa.array([maybe(rng.randrange(-8, 8) / 4) for _ in range(n)], pa.float64()),
            pa.array([maybe(rng.random() < 0.5) for _ in range(n)], pa.bool_()),
        ],
        schema=SCHEMA,
    )


class Twin:
    """The records of each key, in the order in which keys came."""

    def __init__(self):
        self.rows = {}

    def update(self, batch):
        for row in batch.to_pylist():
            self.rows.setdefault((row["word"], row["day"]), []).append(row)

    def to_pylist(self):
        return [{"word": word, "day": day, **self.results(rows)} for (word, day), rows in self.rows.items()]

    @staticmethod
    def results(rows):
        v, x, words, others = (
            [row[name] for row in rows if row[name] is not None] for name in ("v", "x", "word", "other")
        )
        by = [row for row in rows if row["v"] is not None]
        best = max(by, key=lambda row: row["v"], default={"word": None})["word"]
        return {
            "n": len(rows),
            "total": sum(v) if v else None,
            "mean": sum(x) / len(x) if x else None,
            "top": max(words, default=None),
            "best": best,
            "first": v[0] if v else None,
            "some": len(others),
        }


@pytest.mark.parametrize("seed", range(4))
def test_a_table_is_grouped_whatever_its_batches(seed):
    rng = random.Random(seed)
    batches = [random_batch(rng, n) for n in (0, 50, 1, 7, 200)]
    twin = Twin()
    for batch in batches:
        twin.update(batch)
    table = pa.Table.from_batches(batches)
    for data in (
        table,
        batches,
        iter(batches),
        table.to_reader(),
        ExportsStream(table),
        table.combine_chunks(),
        [table.slice(0, 60), table.slice(60)],
        pl.from_arrow(table),
        {name: table[name] for name in SCHEMA.names},
    ):
        assert group_by(data, KEYS, AGGREGATES).to_pylist() == twin.to_pylist(), type(data)
    result = group_by(table, KEYS, AGGREGATES)
    assert result.schema.names == [*KEYS, *AGGREGATES]
    assert result.schema.types == [
        pa.string(),
        pa.date32(),
        pa.int64(),
        pa.int64(),
        pa.float64(),
        pa.string(),
        pa.string(),
        pa.int64(),
        pa.int64(),
    ]


def test_a_group_by_is_arrows_where_both_say_the_same():
    rng = np.random.default_rng(2)
    table = pa.table({"k": rng.integers(0, 300, 5000), "v": rng.integers(-9, 9, 5000), "x": rng.random(5000)})
    ours = group_by(
        table,
        "k",
        {"v_sum": ("sum", "v"), "v_min": ("min", "v"), "x_max": ("max", "x"), "v_count": ("count", "v")},
    )
    theirs = table.group_by("k").aggregate([("v", "sum"), ("v", "min"), ("x", "max"), ("v", "count")])
    assert ours.sort_by("k").equals(theirs.select(ours.schema.names).sort_by("k"))


@pytest.mark.parametrize(
    "type, values", [(pa.string(), ["a", None, "bc", "a"]), (pa.int32(), [1, None, 2, 1])]
)
def test_every_form_of_a_column_is_grouped_alike(type, values):
    for name, form in forms(values, type).items():
        if name == "masked":
            continue  # a batch has no masks but Arrow's
        got = group_by({"k": form, "v": [1, 2, 3, 4]}, "k", {"total": ("sum", "v")})
        assert got.to_pylist() == [
            {"k": values[0], "total": 5},
            {"k": None, "total": 2},
            {"k": values[2], "total": 3},
        ], name


def test_a_data_frame_is_a_batch():
    frame = pd.DataFrame({"k": ["a", "b", "a"], "v": [1, 2, 3]})
    assert group_by(frame, "k", {"t": ("sum", "v")}).to_pylist() == [{"k": "a", "t": 4}, {"k": "b", "t": 2}]


def test_nothing_grouped_is_an_empty_table():
    empty = pa.table({"k": pa.array([], pa.string()), "v": pa.array([], pa.int64())})
    for data in (empty, empty.to_reader(), ExportsStream(empty), {"k": empty["k"], "v": empty["v"]}):
        got = group_by(data, "k", {"t": ("sum", "v")})
        assert (got.num_rows, got.schema) == (0, pa.schema({"k": pa.string(), "t": pa.int64()}))
    got = group_by([], "k", {"t": ("sum", "v")}, schema=ExportsSchema(empty.schema))
    assert got.schema.names == ["k", "t"]
    with pytest.raises(ValueError, match="give schema="):
        group_by([], "k", {"t": ("sum", "v")})


def test_keys_alone_are_the_distinct_ones():
    assert group_by({"k": [3, 1, 3]}, "k", {}).to_pylist() == [{"k": 3}, {"k": 1}]


@pytest.mark.parametrize(
    "keys, aggregates, error, match",
    [
        ("no", {"t": ("sum", "v")}, ValueError, "column 'no' is not in the schema, which has word, day"),
        ("word", {"t": ("sum", "no")}, ValueError, "column 'no' is not in the schema"),
        ("word", {"t": ("median", "v")}, ValueError, "expected one of count, count_star"),
        ("word", {"t": ("sum", "word")}, TypeError, "expected integers, floats or a duration"),
        ("word", {"t": ("sum", "v", "x")}, TypeError, "expected a value type"),
        ("word", {"word": ("sum", "v")}, ValueError, "has the name of a key"),
        ((), {"t": ("sum", "v")}, ValueError, "at least one key column"),
    ],
)
def test_columns_and_ops_that_there_are_not_are_named(keys, aggregates, error, match):
    with pytest.raises(error, match=match):
        KeyedAggregates(SCHEMA, keys, aggregates)


def test_columns_of_one_name_are_refused():
    batch = pa.RecordBatch.from_arrays([pa.array([1]), pa.array([2])], names=["k", "k"])
    with pytest.raises(ValueError, match="more than once in the schema"):
        group_by(batch, "k", {})
    with pytest.raises(TypeError, match="expected an Arrow schema"):
        KeyedAggregates({"k": pa.int64()}, "k", {})  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="nested"):
        KeyedAggregates(pa.schema({"k": pa.list_(pa.int64())}), "k", {})


def test_a_batch_at_fault_is_not_added_in_part():
    state = KeyedAggregates(SCHEMA, KEYS, AGGREGATES)
    good = random_batch(random.Random(1), 20)
    state.update(good)
    before = state.to_table()
    for column, values in [
        ("v", pa.array(["x"] * 20)),
        ("word", pa.array([1] * 20)),
        ("day", pa.array(["y"] * 20)),
    ]:
        bad = good.set_column(SCHEMA.get_field_index(column), column, values)
        with pytest.raises(TypeError, match="is declared as"):
            state.update(bad)
    with pytest.raises(ValueError, match="column 'x' is not in the schema"):
        state.update(good.select(["word", "day", "v", "other"]))
    assert state.to_table().equals(before)
    assert len(state) == before.num_rows


def test_rows_can_be_read_and_taken_out_by_id():
    state = KeyedAggregates(pa.schema({"k": pa.string(), "v": pa.int64()}), "k", {"t": ("sum", "v")})
    state.update({"k": ["a", "b", "c"], "v": [1, 2, 3]})
    assert state.to_table([2, 0]).to_pylist() == [{"k": "c", "t": 3}, {"k": "a", "t": 1}]
    state.release(state.groups.find(["b"]))
    with pytest.raises(ValueError, match="has no key"):
        state.release([1])
    assert state.to_table()["k"].to_pylist() == ["a", "c"]
    state.update({"k": ["d"], "v": [4]})
    assert state.to_table().to_pylist() == [{"k": "a", "t": 1}, {"k": "d", "t": 4}, {"k": "c", "t": 3}]
    assert repr(state) == "KeyedAggregates(by k: t; 3 keys)"


def test_retracted_records_are_as_if_they_never_came():
    schema = pa.schema({"k": pa.string(), "v": pa.int64()})
    state = KeyedAggregates(schema, "k", {"t": ("sum", "v"), "n": "count_star"}, retractable=True)
    state.update({"k": ["a", "b"], "v": [1, 2]})
    state.retract({"k": ["b"], "v": [2]})
    assert state.to_table().to_pylist() == [{"k": "a", "t": 1, "n": 1}, {"k": "b", "t": None, "n": 0}]
    with pytest.raises(UnsupportedOperationError, match="retractable=True"):
        KeyedAggregates(schema, "k", {"t": ("sum", "v")}).retract({"k": ["b"], "v": [2]})


@pytest.mark.parametrize("seed", range(3))
def test_what_two_threads_aggregated_merges_into_one(seed):
    rng = random.Random(seed)
    halves = [KeyedAggregates(SCHEMA, KEYS, AGGREGATES) for _ in range(2)]
    batches = [random_batch(rng, 100) for _ in halves]
    threads = [threading.Thread(target=half.update, args=(batch,)) for half, batch in zip(halves, batches)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    halves[0].merge(halves[1])
    assert halves[0].to_table().equals(group_by(batches, KEYS, AGGREGATES))
    with pytest.raises(TypeError, match="different keys or aggregates"):
        halves[0].merge(KeyedAggregates(SCHEMA, KEYS, {"n": "count_star"}))
    with pytest.raises(ValueError, match="the other is this one"):
        halves[0].merge(halves[0])


# -- snapshots ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(8))
def test_increments_lead_to_the_state_that_was_frozen(seed):
    """Random updates, releases and freezes; each chain of exports gives the table of its last freeze."""
    rng = random.Random(seed)
    state = KeyedAggregates(SCHEMA, KEYS, AGGREGATES)
    exports, tables = [], []
    for _ in range(10):
        for _ in range(rng.randrange(4)):
            state.update(random_batch(rng, rng.choice((0, 1, 30, 300)), words=rng.choice((3, 40))))
        if len(state) > 5 and rng.random() < 0.5:
            state.release(rng.sample(state.groups.ids().tolist(), 3))
        since = rng.choice((0, state.epoch)) if state.epoch else 0
        snapshot = state.freeze(since)
        assert (snapshot.epoch, snapshot.since) == (state.epoch, since)
        table = state.to_table()
        if rng.random() < 0.7:  # what comes after the freeze is not in it
            state.update(random_batch(rng, 50))
        exported = list(snapshot.export())
        exports = [exported] if since == 0 else [*exports, exported]
        tables.append(table)
        restored = KeyedAggregates.restore(*exports)
        assert restored.to_table().equals(table)
        assert (restored.epoch, restored.groups.ids().tolist()) == (
            snapshot.epoch,
            restored.accumulators.ids().tolist(),
        )
        if rng.random() < 0.3:
            state.forget(state.epoch)
        if rng.random() < 0.3:  # go on from what was restored
            state = restored


def test_an_export_is_read_whatever_its_pieces():
    state = KeyedAggregates(SCHEMA, KEYS, AGGREGATES)
    state.update(random_batch(random.Random(1), 500, words=60))
    table = state.to_table()
    whole = b"".join(state.freeze().export())
    for size in (1, 7, 16, 1000, len(whole)):
        pieces = [whole[i : i + size] for i in range(0, len(whole), size)]
        assert KeyedAggregates.restore(pieces).to_table().equals(table)
    for same in (bytearray(whole), memoryview(whole), [b"", whole, b""], pa.py_buffer(whole).to_pybytes()):
        assert KeyedAggregates.restore(same).to_table().equals(table)


def test_a_reader_sees_what_was_frozen_while_a_writer_goes_on():
    state = KeyedAggregates(
        pa.schema({"k": pa.int64(), "v": pa.int64()}), "k", {"t": ("sum", "v"), "n": "count_star"}
    )
    keys = np.arange(50_000)
    batch = pa.record_batch({"k": keys, "v": np.ones(len(keys), np.int64)})
    state.update(batch)
    stop = threading.Event()
    faults: list[object] = []
    snapshots: list[tuple[int, object]] = []
    ready = threading.Condition()

    def read() -> None:
        while True:
            with ready:
                while not snapshots:
                    if stop.is_set():
                        return
                    ready.wait(0.05)
                count, snapshot = snapshots.pop()
            frozen = KeyedAggregates.restore(snapshot.export()).to_table()  # type: ignore[attr-defined]
            if set(frozen["t"].to_pylist()) != {count} or set(frozen["n"].to_pylist()) != {count}:
                faults.append((count, set(frozen["t"].to_pylist())))

    reader = threading.Thread(target=read)
    reader.start()
    count, frozen_count, deadline = 1, 0, time.monotonic() + 60
    while frozen_count < 8 and time.monotonic() < deadline:
        with ready:
            if not snapshots:
                snapshots.append((count, state.freeze()))
                frozen_count += 1
                ready.notify()
        for _ in range(3):
            state.update(batch)
            count += 1
    stop.set()
    reader.join()
    assert faults == [] and frozen_count == 8
    assert set(state.to_table()["t"].to_pylist()) == {count}


def test_a_snapshot_is_exported_once_and_released_by_anyone():
    state = KeyedAggregates(pa.schema({"k": pa.int64()}), "k", {"n": "count_star"})
    state.update({"k": np.arange(1000)})
    snapshot = state.freeze()
    assert repr(snapshot) == "Snapshot(epoch 1, everything)"
    list(snapshot.export())
    for again in (snapshot, state.freeze(since=1)):
        again.release()
        again.release()
        with pytest.raises(RuntimeError, match="exported or released before"):
            next(again.export())
    with state.freeze() as third:
        thread = threading.Thread(target=third.release)
        thread.start()
        thread.join()
    fourth = state.freeze().export()
    next(fourth)
    fourth.close()  # not read to its end
    fifth = state.freeze()
    export = fifth.export()
    next(export)
    fifth.release()
    with pytest.raises(RuntimeError, match="released while it was exported"):
        next(export)
    del export
    unread = state.freeze().export()  # never begun
    assert unread is not None
    del unread
    gc.collect()
    assert len(state._released) == 1  # the others were given back at the next freeze
    state.update({"k": [1]})
    assert len(state._released) == 0
    assert KeyedAggregates.restore(state.freeze().export()).to_table().equals(state.to_table())


def test_a_freeze_needs_an_epoch_that_there_was():
    state = KeyedAggregates(pa.schema({"k": pa.int64()}), "k", {"n": "count_star"})
    for since in (-1, 1):
        with pytest.raises(ValueError, match=f"since is {since}, expected 0 for everything"):
            state.freeze(since)


def exports_of_three_epochs():
    state = KeyedAggregates(pa.schema({"k": pa.string()}), "k", {"n": "count_star"})
    made = []
    for epoch in range(3):
        state.update({"k": ["a", "b", f"word {epoch}" * 30]})
        made.append(b"".join(state.freeze(since=epoch).export()))
    return made


def test_exports_out_of_order_are_refused():
    first, second, third = exports_of_three_epochs()
    assert len(KeyedAggregates.restore(first, second, third)) == 5
    with pytest.raises(StateFormatError, match="begin with one of everything"):
        KeyedAggregates.restore(second)
    with pytest.raises(StateFormatError, match="epochs 3 to 3 cannot follow the end of epoch 1"):
        KeyedAggregates.restore(first, third)
    with pytest.raises(StateFormatError, match="cannot follow the end of epoch 2"):
        KeyedAggregates.restore(first, second, second)
    with pytest.raises(StateFormatError, match="bytes follow the end"):
        KeyedAggregates.restore(first + second)
    other = KeyedAggregates(pa.schema({"k": pa.string()}), "k", {"m": "count_star"})
    other.freeze().release()
    with pytest.raises(StateFormatError, match="of other keys or aggregates"):
        KeyedAggregates.restore(first, b"".join(other.freeze(since=1).export()))


def frame(part, payload, magic=b"FCKA", version=1, reserved=0):
    return (
        struct.pack("<4sBBHII", magic, version, part, reserved, len(payload), zlib.crc32(payload)) + payload
    )


def cut_into_frames(export):
    at, found = 0, []
    while at < len(export):
        size = struct.unpack_from("<I", export, at + 8)[0]
        found.append(export[at : at + 16 + size])
        at += 16 + size
    return found


def test_damaged_exports_are_refused_and_say_so():
    export = exports_of_three_epochs()[0]
    parts = cut_into_frames(export)
    assert b"".join(parts) == export
    for end in range(0, len(export), 5):
        with pytest.raises(StateFormatError, match="cut short"):
            KeyedAggregates.restore(export[:end])
    for at in range(len(export)):
        damaged = bytearray(export)
        damaged[at] ^= 1 << at % 8
        with pytest.raises((StateFormatError, NewerFormatError)):
            KeyedAggregates.restore(damaged)
    for wrong, match in [
        (b"".join(parts[:1] + parts[2:]), "frames are missing"),
        (b"".join(parts[1:]), "description first"),
        (b"".join([parts[0], *parts]), "description first"),
        (frame(1, b"", magic=b"nope"), "expected b'FCKA'"),
        (frame(1, b"x") + frame(4, struct.pack("<Q", 1)), "describes no keyed aggregates"),
        (frame(1, b"", version=2), "this build reads 1 to 1"),
        (frame(5, b""), "damaged"),
        (frame(1, b"", reserved=1), "damaged"),
        (parts[0] + frame(2, b"") + frame(4, struct.pack("<Q", 2)), "no block of group ids"),
        (parts[0] + frame(3, b"") + frame(4, struct.pack("<Q", 2)), "does not load"),
        (parts[0] + frame(2, b"\\0" * 24) + frame(4, struct.pack("<Q", 2)), "no block of group ids"),
        (parts[0] + parts[2] + frame(4, struct.pack("<Q", 2)), "accumulators without a key"),
        (b"", "cut short"),
    ]:
        with pytest.raises((StateFormatError, NewerFormatError), match=match):
            KeyedAggregates.restore(wrong)


def test_an_export_of_format_1_is_read():
    """Written when the format was 1: a change of the format is a new version, and this file stays readable."""
    whole, changes = (
        GOLDEN / name for name in ("keyed_aggregates_v1.bin", "keyed_aggregates_v1_changes.bin")
    )
    state = KeyedAggregates.restore(whole.read_bytes(), changes.read_bytes())
    assert state.to_table().to_pylist() == [
        {"word": "storm", "day": 3, "n": 3, "total": 15, "longest": "storm"},
        {"word": None, "day": None, "n": 1, "total": None, "longest": None},
        {
            "word": "a word that no slot holds",
            "day": 4,
            "n": 1,
            "total": -7,
            "longest": "a word that no slot holds",
        },
    ]
