# SPDX-License-Identifier: Apache-2.0
"""Timers of one subtask: one per (timestamp, group id, namespace), fired in timestamp order; a part of snapshots."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from heapq import heapify, heappop, heappush
from itertools import islice
from typing import Any, NamedTuple

import pyarrow as pa

from flinkcore.columnar.fields import ValueFault
from flinkcore.errors import SchemaError, StateFormatError
from flinkcore.state.blocks import NOTHING, PRESENT, REMOVED, ROWS_MAX, block_schema, read, written
from flinkcore.state.codec import Codec
from flinkcore.state.stored import StoredRows

#: A timer, and its place in the order of registration; None when it was deleted or fired.
_Change = tuple["Timer", "int | None"]
_NOTED_MIN = 65_536
_ORDER_END = 1 << 62


class Timer(NamedTuple):
    """A wish to be called when time reaches `timestamp_ms`, for one group id and namespace."""

    timestamp_ms: int
    group_id: int
    namespace: Hashable


class TimerQueue:
    """A set of timers in timestamp order; registering one twice is registering it once.

    Timers of one timestamp fire in the order of registration. A deleted timer leaves its heap entry behind,
    which is skipped when it comes up, and swept when such entries outnumber the live ones.

    What changes in an epoch is noted once a first snapshot was taken, in a list: an increment is a run of that
    list, of which each timer's last change counts. When the list outgrows the timers, it is dropped, and the
    next snapshot holds everything.

    namespace : codec of namespaces, None where the only one is None
    Source: Flink, InternalTimerServiceImpl.
    """

    kind = "timers"

    def __init__(self, namespace: Codec | None = None) -> None:
        self.namespace = namespace
        self._live: dict[Timer, int] = {}  # timer -> order of registration
        self._heap: list[tuple[int, int, Timer]] = []
        self._registered = 0
        self._changes: list[_Change] | None = None  # of the current epoch; None: nobody wants to know
        self._noted: list[
            tuple[int, list[_Change]]
        ] = []  # (epoch, changes) of those before, not yet forgotten
        self._since = 0  # the smallest epoch since which all changes are noted

    def register(self, timestamp_ms: int, group_id: int, namespace: Hashable = None) -> bool:
        """Adds a timer; False when it was there already."""
        timer = Timer(timestamp_ms, group_id, namespace)
        if timer in self._live:
            return False
        self._live[timer] = order = self._registered
        self._registered += 1
        heappush(self._heap, (timestamp_ms, order, timer))
        if self._changes is not None:
            self._note(timer, order)
        return True

    def delete(self, timestamp_ms: int, group_id: int, namespace: Hashable = None) -> bool:
        """Removes a timer; False when there was none."""
        timer = Timer(timestamp_ms, group_id, namespace)
        if self._live.pop(timer, None) is None:
            return False
        if self._changes is not None:
            self._note(timer, None)
        if len(self._heap) > 64 and len(self._heap) > 2 * len(self._live):
            self._sort()
        return True

    def pop_due(self, time_ms: int) -> Timer | None:
        """Takes the earliest timer with a timestamp <= `time_ms`; None when there is none."""
        heap, live = self._heap, self._live
        while heap and heap[0][0] <= time_ms:
            _, order, timer = heappop(heap)
            if live.get(timer) == order:
                del live[timer]
                if self._changes is not None:
                    self._note(timer, None)
                return timer
        return None

    def take_due(self, time_ms: int) -> Iterator[Timer]:
        """Takes all timers with a timestamp <= `time_ms`, in order, while nobody registers or deletes any.

        Faster than pop_due() where a good part of all timers is due at a time, as those of tumbling windows are.
        """
        heap, live = self._heap, self._live
        if not heap or heap[0][0] > time_ms:
            return
        due = sorted(entry for entry in heap if entry[0] <= time_ms)
        self._heap = [entry for entry in heap if entry[0] > time_ms]
        heapify(self._heap)
        for _, order, timer in due:
            if live.get(timer) == order:
                del live[timer]
                if self._changes is not None:
                    self._note(timer, None)
                yield timer

    def next_ms(self) -> int | None:
        """Timestamp of the earliest timer, None when there is none."""
        heap, live = self._heap, self._live
        while heap:
            timestamp_ms, order, timer = heap[0]
            if live.get(timer) == order:
                return timestamp_ms
            heappop(heap)
        return None

    def __len__(self) -> int:
        return len(self._live)

    def __iter__(self) -> Iterator[Timer]:
        """The timers in firing order."""
        return iter(sorted(self._live, key=lambda timer: (timer.timestamp_ms, self._live[timer])))

    def _sort(self) -> None:
        self._heap = [(timer.timestamp_ms, order, timer) for timer, order in self._live.items()]
        heapify(self._heap)

    def _note(self, timer: Timer, order: int | None) -> None:
        changes = self._changes
        assert changes is not None
        changes.append((timer, order))
        if len(changes) % _NOTED_MIN == 0:
            noted = len(changes) + sum(len(earlier) for _, earlier in self._noted)
            if noted > max(_NOTED_MIN, 2 * len(self._live)):
                self._changes = None
                self._noted.clear()

    # -- snapshots ----------------------------------------------------------------------------------------

    @property
    def row_count(self) -> int:
        return len(self._live)

    @property
    def state_bytes(self) -> int:
        return len(self._live) * (20 if self.namespace is None else 36)

    def describe(self) -> dict[str, Any]:
        return {"namespace": None if self.namespace is None else self.namespace.describe()}

    def take_over(self, stored: StoredRows) -> bool:
        """Takes the timers that a checkpoint holds. -> False: they are as they were stored

        StateFormatError : they do not fit
        """
        if stored.description != self.describe():
            raise StateFormatError(f"timers of {stored.description} became timers of {self.describe()}")
        for payload in stored.payloads:
            self.load(memoryview(payload))
        self.loaded(stored.epoch)
        return False

    def freeze(self, since: int, epoch: int) -> FrozenTimers:
        complete = self._changes is not None and since >= self._since
        if self._changes is None:
            self._since = epoch
        else:
            self._noted.append((epoch, self._changes))
        self._changes = []
        if not since or not complete:
            return FrozenTimers(self, self._live.copy(), [], replaces=bool(since))
        return FrozenTimers(self, {}, [changes for number, changes in self._noted if number > since])

    def forget(self, epoch: int) -> None:
        self._noted = [noted for noted in self._noted if noted[0] > epoch]
        self._since = max(self._since, epoch)

    def load(self, payload: memoryview) -> None:
        kind, batch = read(payload, {kind: self._schema(kind) for kind in (PRESENT, REMOVED, NOTHING)})
        if kind == NOTHING:
            self._live.clear()
            return
        if any(column.null_count for column in batch.columns):
            raise StateFormatError("a timer lacks its timestamp, group id, namespace or order")
        timestamps, group_ids = batch.column(0).to_pylist(), batch.column(1).to_pylist()
        if group_ids and min(group_ids) < 0:
            raise StateFormatError("a timer has a negative group id")
        namespaces = (
            [None] * len(group_ids) if self.namespace is None else self.namespace.decode(batch.column(2))
        )
        timers = map(Timer, timestamps, group_ids, namespaces)
        if kind == REMOVED:
            for timer in timers:
                self._live.pop(timer, None)
            return
        orders = batch.column("order").to_pylist()
        if orders and not 0 <= min(orders) <= max(orders) < _ORDER_END:
            raise StateFormatError(
                f"a timer has a place in the order of registration outside 0 .. {_ORDER_END}"
            )
        self._live.update(zip(timers, orders))

    def loaded(self, epoch: int) -> None:
        if len(set(self._live.values())) != len(self._live):
            raise StateFormatError("two timers have one place in the order of registration")
        self._registered = max(self._live.values(), default=-1) + 1
        self._sort()
        self._noted.clear()
        if epoch:  # else the first snapshot is of everything
            self._changes = []
            self._since = epoch

    def _schema(self, kind: str) -> pa.Schema:
        if kind == NOTHING:
            return block_schema(self.kind, kind, [])
        namespace = [] if self.namespace is None else [pa.field("namespace", self.namespace.type)]
        order = [pa.field("order", pa.int64())] if kind == PRESENT else []
        fields = [pa.field("timestamp_ms", pa.int64()), pa.field("group_id", pa.int32()), *namespace, *order]
        return block_schema(self.kind, kind, fields)


class FrozenTimers:
    """Timers as they were when an epoch ended.

    timers : the timers that were there, or none of them and
    changes : what happened in the epochs that are wanted, the earliest first
    replaces : what earlier snapshots hold is void, since not all changes since then are known
    """

    def __init__(
        self,
        queue: TimerQueue,
        timers: dict[Timer, Any],
        changes: list[list[_Change]],
        replaces: bool = False,
    ) -> None:
        self._queue = queue
        self._timers: dict[Timer, int | None] = timers
        self._changes = changes
        self._replaces = replaces

    def blocks(self) -> Iterator[pa.Buffer]:
        if self._replaces:
            yield from written(self._queue._schema(NOTHING), [])
        last = self._timers
        for changes in self._changes:
            for start in range(0, len(changes), ROWS_MAX):  # in steps, for each of them holds the GIL
                last.update(changes[start : start + ROWS_MAX])
        present = ((timer, order) for timer, order in last.items() if order is not None)
        removed = ((timer, None) for timer, order in last.items() if order is None)
        for kind, timers in ((PRESENT, present), (REMOVED, removed)):
            while chunk := list(islice(timers, ROWS_MAX)):
                yield from written(self._queue._schema(kind), self._columns(kind, chunk))

    def release(self) -> None:
        self._timers, self._changes = {}, []

    def _columns(self, kind: str, chunk: list[_Change]) -> list[pa.Array]:
        timers = [timer for timer, _ in chunk]
        timestamps, group_ids, namespaces = zip(*timers)
        columns = [pa.array(timestamps, pa.int64()), pa.array(group_ids, pa.int32())]
        if self._queue.namespace is not None:
            try:
                columns.append(self._queue.namespace.encode(list(namespaces)))
            except ValueFault as fault:
                raise SchemaError(f"the window {fault.value!r} of a timer: {fault.reason}") from fault
        return columns if kind == REMOVED else [*columns, pa.array([order for _, order in chunk], pa.int64())]
