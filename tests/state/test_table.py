# SPDX-License-Identifier: Apache-2.0
"""Tables against a naive twin: random changes, with frozen tables alive, written in a thread, loaded again."""

from __future__ import annotations

import copy
import pickle
import random
import sys
from typing import Any

import pyarrow as pa
import pytest

from flinkcore.columnar import typeinfo as ti
from flinkcore.columnar.row import Row
from flinkcore.columnar.typeinfo import BasicTypeInfo
from flinkcore.errors import NewerFormatError, SchemaError, StateFormatError
from flinkcore.state import frozen_table
from flinkcore.state import table as table_module
from flinkcore.state.blocks import BLOCK_BYTES
from flinkcore.state.codec import codec_of
from flinkcore.state.content import Content
from flinkcore.state.table import Table
from flinkcore.time.window_codec import TimeWindows
from flinkcore.time.windows import TimeWindow
from tests.state.snapshots import being_written, load, rows_of, table, written
from tests.state.test_codec import Trap

LONG, STRING = BasicTypeInfo.LONG_TYPE_INFO(), BasicTypeInfo.STRING_TYPE_INFO()
PAIR = ti.RowTypeInfo([LONG, STRING], ["n", "s"])

KINDS: dict[str, tuple[Content, Any]] = {
    "value": (Content("value", codec_of(LONG)), lambda rng: rng.randrange(100)),
    "rows": (Content("reducing", codec_of(PAIR)), lambda rng: Row(n=rng.randrange(100), s="x")),
    "objects": (Content("value", codec_of(None)), lambda rng: {"n": [rng.randrange(100)]}),
    "list": (Content("list", codec_of(LONG)), lambda rng: [rng.randrange(100)]),
    "owned": (Content("list", codec_of(PAIR), owned=True), lambda rng: [Row(n=1, s="a")]),
    "map": (Content("map", codec_of(None), codec_of(STRING)), lambda rng: {"a": [rng.randrange(100)]}),
}


def change_in_place(row: Any, rng: random.Random) -> None:
    """What a user, or a list or map state, does to a row that it was lent."""
    match row:
        case Row():
            row["n"] += 1
        case {"n": numbers}:
            numbers.append(rng.randrange(100))
        case dict():
            row[rng.choice("abc")] = [rng.randrange(100)]
        case list():
            row.append(copy.deepcopy(row[0]))


class Alive:
    """A frozen table that is not released: written by a thread, or step by step between changes, or not at all."""

    def __init__(self, since: int, epoch: int, frozen: Any, how: str) -> None:
        self.since, self.epoch, self.frozen = since, epoch, frozen
        self.writing = being_written(frozen) if how == "thread" else None
        self.steps = frozen.blocks() if how == "steps" else None
        self.found: list[bytes] = []

    def step(self) -> bool:
        """Another block; False when there is none."""
        block = next(self.steps, None)
        if block is not None:
            self.found.append(bytes(block))
        return block is not None

    def finish(self) -> list[bytes] | None:
        while self.steps is not None and self.step():
            pass
        found = self.found if self.steps is not None else self.writing.result() if self.writing else None
        self.frozen.release()
        return found


class Twin:
    """A table, what it should hold, and its snapshots: those alive, and those that were written."""

    def __init__(self, name: str, seed: int) -> None:
        self.rng = random.Random(seed)
        self.content, self.make = KINDS[name]
        self.namespaces = [None] if seed % 2 else [TimeWindow(0, 10), TimeWindow(10, 20), TimeWindow(20, 30)]
        self.held: dict[int, int] = {}
        self.table = self.new()
        self.rows: dict[tuple[Any, int], Any] = {}
        self.epoch = 0
        self.states: dict[int, Any] = {0: {}}  # rows at the end of each epoch
        self.written: dict[tuple[int, int], list[bytes]] = {}
        self.alive: list[Alive] = []

    def new(self) -> Table:
        def hold(group_id: int) -> None:
            self.held[group_id] = self.held.get(group_id, 0) + 1

        def let_go(group_id: int) -> None:
            self.held[group_id] -= 1

        self.held.clear()
        namespace = None if self.namespaces[0] is None else TimeWindows()
        return Table("t", self.content, namespace, hold, let_go, allow_pickle=True)

    def change(self) -> None:
        rng, place = self.rng, (self.rng.choice(self.namespaces), self.rng.randrange(12))
        row = self.rows.get(place)
        match rng.randrange(7):
            case 0 | 1:
                made = self.make(rng)
                self.table.put(*place, made)
                self.rows[place] = copy.deepcopy(made)
            case 2:
                assert self.table.take(*place) == row
                self.rows.pop(place, None)
            case 3:  # also all of a namespace, which may come back in the same epoch
                gone = [place] if rng.random() < 0.7 else [(place[0], group_id) for group_id in range(12)]
                for each in gone:
                    self.table.remove(*each)
                    self.rows.pop(each, None)
            case 4:
                lent = self.table.edit(*place)
                assert lent == row
                if row is not None:
                    change_in_place(lent, rng)
                    self.rows[place] = copy.deepcopy(lent)
            case 5:
                self.operator_batch(place)
            case 6:
                assert self.table.get(*place) == row

    def operator_batch(self, place: tuple[Any, int]) -> None:
        """The fast path: several rows of a namespace in one batch."""
        namespace, group_ids = place[0], [place[1], (place[1] + 1) % 12]
        rows = self.table.writable(namespace)
        self.table.touch_all(rows, group_ids)
        for group_id in group_ids:
            if group_id in rows:
                change_in_place(rows[group_id], self.rng)
            else:
                self.table._hold(group_id)
                rows[group_id] = self.make(self.rng)
            self.rows[namespace, group_id] = copy.deepcopy(rows[group_id])

    def freeze(self) -> None:
        known = [epoch for epoch in self.states if epoch <= self.epoch and self.chain(epoch) is not None]
        since = self.rng.choice(known if self.rng.random() < 0.8 else list(self.states))
        self.epoch += 1
        frozen = self.table.freeze(since, self.epoch)
        self.states[self.epoch] = copy.deepcopy(self.rows)
        self.alive.append(
            Alive(since, self.epoch, frozen, self.rng.choice(["thread", "steps", "steps", "not"]))
        )

    def release(self) -> None:
        alive = self.alive.pop(self.rng.randrange(len(self.alive)))
        found = alive.finish()
        if found is not None:
            self.written[alive.since, alive.epoch] = found

    def forget(self) -> None:
        epoch = self.rng.randrange(self.epoch + 1)
        self.table.forget(epoch)
        self.states = {kept: rows for kept, rows in self.states.items() if kept >= epoch or not kept}

    def chain(self, epoch: int) -> list[bytes] | None:
        """The blocks from which the state at the end of an epoch can be loaded; None when some were not written."""
        chain: list[bytes] = []
        while epoch:
            found = next((key for key in self.written if key[1] == epoch), None)
            if found is None:
                return None
            chain, epoch = self.written[found] + chain, found[0]
        return chain


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("seed", range(20))
def test_each_snapshot_holds_the_rows_as_they_were_when_its_epoch_ended(name, seed, monkeypatch):
    monkeypatch.setattr(frozen_table, "ROWS_MAX", 1 + seed % 4)
    twin = Twin(name, seed)
    ends: dict[int, Any] = {}
    for _ in range(300):
        action = twin.rng.random()
        if action < 0.08:
            twin.freeze()
            ends[twin.epoch] = twin.states[twin.epoch]
        elif action < 0.14 and twin.alive:
            twin.release()
        elif action < 0.15 and not twin.alive:
            twin.forget()
        elif action < 0.3 and twin.alive:
            alive = twin.rng.choice(twin.alive)
            if alive.steps is not None:
                alive.step()
        else:
            twin.change()
    while twin.alive:
        twin.release()
    assert rows_of(twin.table) == twin.rows
    assert {group_id: count for group_id, count in twin.held.items() if count} == _counts(twin.rows)
    checked = 0
    for epoch, rows in ends.items():
        chain = twin.chain(epoch)
        if chain is not None:
            assert rows_of(load(twin.new(), chain, epoch)) == rows
            checked = epoch
    assert checked
    # A table that was loaded goes on like one that was not.
    chain = twin.chain(checked)
    twin.table, twin.rows = load(twin.new(), chain, checked), copy.deepcopy(ends[checked])
    for _ in range(30):
        twin.change()
    increment = written(twin.table.freeze(checked, checked + 1))
    expected = twin.rows
    assert rows_of(load(twin.new(), [*chain, *increment])) == expected


def test_a_thread_writes_while_rows_change():
    state, threads = table("list", LONG), []
    for group_id in range(20_000):
        state.put(None, group_id, [group_id])
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        for epoch in range(1, 6):
            expected = {group_id: list(row) for _, group_id, row in state}
            frozen = state.freeze(epoch - 1, epoch)
            threads.append((expected, being_written(frozen)))
            rng = random.Random(epoch)
            while not threads[-1][1].done():
                group_id = rng.randrange(25_000)
                row = state.edit(None, group_id)
                if row is None:
                    state.put(None, group_id, [epoch])
                elif group_id % 7:
                    row.append(epoch)
                else:
                    state.remove(None, group_id)
            frozen.release()
    finally:
        sys.setswitchinterval(interval)
    blocks: list[bytes] = []
    for expected, writing in threads:
        blocks += writing.result()
        assert rows_of(load(table("list", LONG), blocks)) == {(None, g): row for g, row in expected.items()}


def _counts(rows):
    counts: dict[int, int] = {}
    for _, group_id in rows:
        counts[group_id] = counts.get(group_id, 0) + 1
    return counts


def test_an_increment_holds_the_rows_that_changed_and_no_others():
    state = table("value", LONG)
    for group_id in range(1000):
        state.put(None, group_id, group_id)
    base = written(state.freeze(0, 1))
    state.put(None, 5, -5)
    state.remove(None, 7)
    state.put(None, 1000, 0)
    state.remove(None, 1000)
    increment = written(state.freeze(1, 2))
    assert len(increment) == 2 and sum(map(len, increment)) < 2000
    found = load(table("value", LONG), [*base, *increment])
    assert len(found) == 999 and found.get(None, 5) == -5 and found.get(None, 7) is None
    assert written(state.freeze(2, 3)) == []


def test_what_is_read_of_an_immutable_type_is_not_written_again():
    numbers, objects = table("value", LONG), table("value", None)
    for state, row in ((numbers, 1), (objects, [1])):
        state.put(None, 0, row)
        written(state.freeze(0, 1))
        state.get(None, 0)
        state.edit(None, 0)
    assert written(numbers.freeze(1, 2)) == []
    assert len(written(objects.freeze(1, 2))) == 1  # it may have been changed in place


def test_a_failed_checkpoint_loses_nothing():
    state = table("value", LONG)
    base = written(state.freeze(0, 1))
    state.put(None, 1, 1)
    state.freeze(1, 2).release()  # never written
    state.put(None, 2, 2)
    frozen = state.freeze(1, 3)
    assert rows_of(load(table("value", LONG), [*base, *written(frozen)])) == {(None, 1): 1, (None, 2): 2}


def test_a_table_without_snapshots_notes_nothing():
    state = table("value", LONG)
    state.loaded(0)
    state.put(None, 1, 1)
    assert state.writable(None).touched is None


def test_changes_are_noted_only_while_that_costs_less_than_the_rows(monkeypatch):
    monkeypatch.setattr(table_module, "_NOTED_ROWS_MIN", 50)
    state = table("value", LONG, namespace=TimeWindows())
    base = written(state.freeze(0, 1))
    for start in range(200):
        window = TimeWindow(start, start + 1)
        state.put(window, 1, start)
        if start < 199:
            state.remove(window, 1)
    assert state._epoch is None and state._epochs == []
    everything = written(state.freeze(1, 2))
    fresh = table("value", LONG, namespace=TimeWindows())
    fresh.put(TimeWindow(5, 6), 0, 0)
    assert rows_of(load(fresh, [*base, *everything])) == {(TimeWindow(199, 200), 1): 199}
    state.remove(TimeWindow(199, 200), 1)
    assert (
        rows_of(
            load(table("value", LONG, namespace=TimeWindows()), [*everything, *written(state.freeze(2, 3))])
        )
        == {}
    )


def test_blocks_are_of_a_megabyte_at_most_but_a_row_is_never_cut():
    state = table("list", STRING)
    for group_id in range(64):
        state.put(None, group_id, ["x" * 100_000])
    state.put(None, 64, ["y" * 3_000_000])
    blocks = written(state.freeze(0, 1))
    assert sorted(map(len, blocks))[-2] < 1.3 * BLOCK_BYTES < sorted(map(len, blocks))[-1] < 3_100_000
    assert len(load(table("list", STRING), blocks)) == 65
    assert state.state_bytes > 1_000_000
    many = table("value", LONG)
    for group_id in range(100_000):
        many.put(None, group_id, group_id)
    blocks = written(many.freeze(0, 1))
    assert len(blocks) < 40 and sum(map(len, blocks)) < 1_400_000 and many.row_count == 100_000
    assert 1_000_000 < many.state_bytes < 1_700_000


def test_an_object_that_cannot_be_pickled_is_named_with_its_state():
    state = table("value", None)
    state.put(None, 0, lambda: 0)
    frozen = state.freeze(0, 1)
    with pytest.raises(SchemaError, match=r"state 't' holds <function .*cannot be pickled.*declare a type"):
        list(frozen.blocks())
    frozen.release()
    state.put(None, 0, 5)
    assert rows_of(load(table("value", None), written(state.freeze(1, 2)))) == {(None, 0): 5}


# -- what load() is given is not trusted ----------------------------------------------------------------------


def crafted(schema: pa.Schema, *columns: Any) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, schema) as stream:
        arrays = [pa.array(column, field.type) for column, field in zip(columns, schema)]
        stream.write_batch(pa.RecordBatch.from_arrays(arrays, schema=schema))
    return sink.getvalue().to_pybytes()


def one_block(state: Table) -> bytes:
    (block,) = written(state.freeze(0, 1))
    return block


def test_blocks_of_others_are_refused_in_words():
    state = table("value", LONG)
    state.put(None, 0, 5)
    block = one_block(state)
    with pytest.raises(
        StateFormatError, match=r"has the columns group_id: int32, value: int64, expected .*string"
    ):
        table("value", STRING).load(memoryview(block))
    with pytest.raises(StateFormatError, match="expected"):
        table("value", LONG, namespace=TimeWindows()).load(memoryview(block))
    schema = pa.ipc.open_stream(block).schema
    versions = [(b"2", NewerFormatError, "format 2; this build reads 1"), (b"0", StateFormatError, "no flinkcore")]
    for version, error, words in [*versions, (b"9" * 5000, StateFormatError, "no flinkcore")]:
        other = schema.with_metadata({**schema.metadata, b"flinkcore.version": version})
        with pytest.raises(error, match=words):
            state.load(memoryview(crafted(other, [0], [5])))
    with pytest.raises(StateFormatError, match="says 'lost'"):
        state.load(
            memoryview(
                crafted(schema.with_metadata({**schema.metadata, b"flinkcore.rows": b"lost"}), [0], [5])
            )
        )
    with pytest.raises(StateFormatError, match="negative"):
        state.load(memoryview(crafted(schema, [-1], [5])))
    with pytest.raises(StateFormatError, match="no sound Arrow stream"):
        state.load(memoryview(b""))
    with pytest.raises(StateFormatError, match="does not end"):
        state.load(memoryview(block + block))
    with pytest.raises(StateFormatError, match="does not end"):
        state.load(memoryview(block[:-8]))


def test_a_compressed_block_is_refused_since_it_could_claim_any_size():
    state = table("value", STRING)
    state.put(None, 0, "x" * 100_000)
    block = one_block(state)
    batch = pa.ipc.open_stream(block).read_next_batch()
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as stream:
        stream.write_batch(batch)
    with pytest.raises(StateFormatError, match="compressed"):
        state.load(memoryview(sink.getvalue()))


def test_a_pickle_in_a_block_does_not_run_unless_that_is_allowed():
    state = table("value", None)
    state.put(None, 0, 5)
    schema = pa.ipc.open_stream(one_block(state)).schema
    block = crafted(schema, [0], [pickle.dumps(Trap())])
    with pytest.raises(StateFormatError, match="allow_pickle"):
        table("value", None, allow_pickle=False).load(memoryview(block))
    assert not Trap.sprung
    with pytest.raises(StateFormatError):
        table("value", STRING).load(memoryview(block))
    assert not Trap.sprung


@pytest.mark.parametrize("name", KINDS)
def test_a_mutated_block_is_refused_or_loads_but_does_no_harm(name):
    content, make = KINDS[name]
    rng = random.Random(7)
    state = Table("t", content, TimeWindows(), allow_pickle=True)
    for group_id in range(5):
        state.put(TimeWindow(group_id, group_id + 1), group_id, make(rng))
    block = one_block(state)
    refused = 0
    for _ in range(400):
        mutated = bytearray(block)
        for _ in range(rng.randrange(1, 4)):
            mutated[rng.randrange(len(mutated))] ^= 1 << rng.randrange(8)
        # Pickled bytes run when they are allowed; here only the rest is at stake.
        fresh = Table("t", content, TimeWindows(), allow_pickle=name not in ("objects", "map"))
        try:
            fresh.load(memoryview(bytes(mutated)))
        except ValueError:
            refused += 1
    for cut in range(len(block)):
        with pytest.raises(ValueError):
            Table("t", content, TimeWindows()).load(memoryview(block[:cut]))
    assert refused > 200
