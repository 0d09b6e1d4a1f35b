# SPDX-License-Identifier: Apache-2.0
"""The bare kernels at the work of the benchmarks, by name: `group_by:100000`, `texts:1000000:zipf`, `read`.

Each is a context manager that sets everything up, gives one call per thread to be timed, and checks what came out.
With several threads each has rows of its own keys and shares nothing.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from bench import data
from bench.limits.native import at_address, library, memory, pointer
from bench.workloads import VALUE_MIN

Calls = list[Callable[[], object]]
STREAM_WORDS = 1 << 26  # 512 MB: far more than any cache
RANDOM_BITS = 22  # lines of 64 bytes: 256 MB
RANDOM_COUNT = 1 << 24
BATCH_ROWS = 131_072  # between two watermarks, as in the engine


def checked(is_right: bool, kernel: str) -> None:
    if not is_right:
        raise RuntimeError(f"the bare kernel '{kernel}' gave a wrong answer")


def made(address: int | None, what: str) -> int:
    if not address:
        raise MemoryError(f"no memory for the bare {what}, or more keys than it can number")
    return address


@contextmanager
def reading(words: int, threads: int) -> Iterator[Calls]:
    with memory(words) as block:
        block[:] = 1
        parts = np.array_split(block, threads)
        sums: list[int] = []
        yield [lambda part=part: sums.append(library().bare_read(pointer(part), len(part))) for part in parts]
        checked(sum(sums) == words, "read")


@contextmanager
def copying(words: int, threads: int) -> Iterator[Calls]:
    with memory(words) as source, memory(words) as target:
        source[:] = np.arange(words)
        share = words // threads // 8 * 8
        starts = [share * i for i in range(threads)]
        yield [
            lambda at=at: library().bare_copy(pointer(source[at:]), pointer(target[at:]), share)
            for at in starts
        ]
        checked(bool((target[:: words // 16 or 1] == source[:: words // 16 or 1]).all()), "copy")


@contextmanager
def touching(bits: int, count: int, threads: int) -> Iterator[Calls]:
    with ExitStack() as stack:
        blocks = [stack.enter_context(memory(8 << bits)) for _ in range(threads)]
        each = count // threads
        yield [lambda block=block: library().bare_random(pointer(block), bits, each) for block in blocks]
        checked(sum(int(block[::8].sum()) for block in blocks) == each * threads, "random")


def events_by_key(
    rows: int, keys: int, distribution: data.Distribution, threads: int
) -> list[list[np.ndarray]]:
    """key, value, date_time in ms of each thread: whole keys, in the order of the table."""
    table = data.events(rows, keys, distribution)
    columns = [table[name].combine_chunks().view(pa.int64()).to_numpy() for name in table.column_names]
    if threads == 1:
        return [columns]
    owner = (columns[0].view(np.uint64) >> np.uint64(3)) % np.uint64(threads)
    return [[np.ascontiguousarray(column[owner == i]) for column in columns] for i in range(threads)]


@contextmanager
def grouping(parts: list[list[np.ndarray]], distinct: list[int], staged: bool) -> Iterator[Calls]:
    """distinct : how many keys each part has"""
    tables = [made(library().bare_table(count), "table") for count in distinct]
    try:
        yield [
            lambda table=table, part=part: library().bare_group_by(
                table, pointer(part[0]), pointer(part[1]), len(part[0]), staged
            )
            for table, part in zip(tables, parts)
        ]
        for table, part, count in zip(tables, parts, distinct):
            rows = table_rows(table)
            checked(len(rows) == count and int(rows[:, 1].sum()) == len(part[0]), "group_by")
    finally:
        for table in tables:
            library().bare_table_free(table)


@contextmanager
def updating(parts: list[list[np.ndarray]], keys: int) -> Iterator[Calls]:
    """parts : int32 ids in [0, keys) and values of each thread, which has rows of its own"""
    with ExitStack() as stack:
        rows = [stack.enter_context(memory(4 * keys)) for _ in parts]
        yield [
            lambda block=block, part=part: library().bare_update(
                pointer(block), pointer(part[0]), pointer(part[1]), len(part[0])
            )
            for block, part in zip(rows, parts)
        ]
        for block, (ids, values) in zip(rows, parts):
            checked(
                int(block[1::4].sum()) == len(ids) and int(block[2::4].sum()) == int(values.sum()), "update"
            )


@contextmanager
def interning(
    parts: list[list[np.ndarray]], distinct: list[int], staged: bool, results: list[np.ndarray] | None = None
) -> Iterator[Calls]:
    """`results` gets the ids of each thread's rows."""
    tables = [made(library().bare_table(count), "table") for count in distinct]
    try:
        with ExitStack() as stack:
            found = [stack.enter_context(memory(count)) for count in distinct]
            ids = [np.ones(len(key), np.int32) for key, _, _ in parts]
            yield [
                lambda table=table, keys=keys, part=part, out=out: library().bare_intern(
                    table, pointer(keys), pointer(part[0]), len(part[0]), pointer(out), staged
                )
                for table, keys, part, out in zip(tables, found, parts, ids)
            ]
            for keys, part, out in zip(found, parts, ids):
                checked(bool((keys[out] == part[0]).all()), "intern")
            if results is not None:
                results += ids
    finally:
        for table in tables:
            library().bare_table_free(table)


def table_rows(table: int) -> np.ndarray:
    """int64[keys, 4]: key, count, sum, max."""
    used = library().bare_table_used(table)
    return at_address(library().bare_table_rows(table), 4 * used).reshape(used, 4)


@contextmanager
def tumbling(
    parts: list[list[np.ndarray]], keys: int, staged: bool, results: list[np.ndarray] | None = None
) -> Iterator[Calls]:
    """`results` gets int64[5, windows] of each thread: key, window start, count, sum, max."""
    windows = [made(library().bare_windows(keys), "windows") for _ in parts]
    outputs = [np.zeros((5, len(key)), np.int64) for key, _, _ in parts]  # at most a window per row
    for output in outputs:
        output[:] = 0  # in use
    written = [0] * len(parts)

    def call(i: int) -> None:
        columns = (ctypes.c_void_p * 5)(*(pointer(column) for column in outputs[i]))
        key, value, time = parts[i]
        batch_rows = max(1, min(BATCH_ROWS, len(key) // 100))  # at most a second of event time
        written[i] = library().bare_tumbling(
            windows[i], pointer(key), pointer(value), pointer(time), len(key), batch_rows, staged, columns
        )

    try:
        yield [lambda i=i: call(i) for i in range(len(parts))]
        for output, count, (key, _, _) in zip(outputs, written, parts):
            checked(count >= 0 and int(output[2, :count].sum()) == len(key), "tumbling")
        if results is not None:
            results += [output[:, :count] for output, count in zip(outputs, written)]
    finally:
        for each in windows:
            library().bare_windows_free(each)


def texts_by_key(texts: pa.Array, threads: int) -> list[pa.Array]:
    """The texts of each thread. Which one it is goes by the text, so that none is counted twice."""
    if threads == 1:
        return [texts]
    codes = texts.dictionary_encode().indices.to_numpy()
    return [texts.filter(pa.array(codes % threads == i)) for i in range(threads)]


def distinct_keys(parts: list[list[np.ndarray]]) -> list[int]:
    return [len(np.unique(key)) for key, _, _ in parts]


def distinct_texts(parts: list[pa.Array]) -> list[tuple[int, int]]:
    found = [part.unique() for part in parts]
    return [(len(texts), pc.sum(pc.binary_length(texts)).as_py() or 0) for texts in found]


def parts_of_texts(texts: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """(int32 offsets, bytes) of strings."""
    if texts.type != pa.string():
        raise ValueError(f"texts are string columns with 32-bit offsets, not {texts.type}")
    offsets = np.frombuffer(texts.buffers()[1], np.int32)[texts.offset : texts.offset + len(texts) + 1]
    return offsets, np.frombuffer(texts.buffers()[2] or b"", np.uint8)


@contextmanager
def counting(parts: list[pa.Array], distinct: list[tuple[int, int]], staged: bool) -> Iterator[Calls]:
    """distinct : how many texts each part has, and their bytes"""
    cut = [parts_of_texts(part) for part in parts]
    tables = [made(library().bare_texts(*sizes), "texts") for sizes in distinct]
    try:
        yield [
            lambda table=table, offsets=offsets, text=text: library().bare_count_texts(
                table, pointer(offsets), pointer(text), len(offsets) - 1, staged
            )
            for table, (offsets, text) in zip(tables, cut)
        ]
        for table, part, (count, _) in zip(tables, parts, distinct):
            counts = text_counts(table)
            checked(len(counts) == count and int(counts.sum()) == len(part), "texts")
    finally:
        for table in tables:
            library().bare_texts_free(table)


def text_places(table: int) -> np.ndarray:
    """Where each text's record begins, in words of 8 bytes."""
    entries = at_address(library().bare_texts_entries(table), library().bare_texts_capacity(table))
    return (entries[entries != 0] & 0xFFFFFFFF) - 1


def text_counts(table: int) -> np.ndarray:
    """int64: the count of each text, the first word of its record."""
    places = text_places(table)
    last = int(places.max()) if len(places) else -1
    return at_address(library().bare_texts_records(table), last + 1)[places]


@contextmanager
def filtering(rows: int, threads: int) -> Iterator[Calls]:
    parts = events_by_key(rows, 100_000, "uniform", threads)
    outputs = [[np.ones(len(part[0]) + 8, np.int64) for _ in range(3)] for part in parts]
    kept = [0] * threads

    def call(i: int) -> None:
        inputs = [pointer(column) for column in parts[i]]
        kept[i] = library().bare_filter(
            *inputs, len(parts[i][0]), VALUE_MIN, *(pointer(column) for column in outputs[i])
        )

    yield [lambda i=i: call(i) for i in range(threads)]
    expected = sum(int((part[1] >= VALUE_MIN).sum()) for part in parts)
    checked(sum(kept) == expected, "filter")


@contextmanager
def mapping(rows: int, threads: int) -> Iterator[Calls]:
    parts = [part[1] for part in events_by_key(rows, 100_000, "uniform", threads)]
    outputs = [np.ones(len(part), np.int64) for part in parts]
    yield [
        lambda part=part, output=output: library().bare_map(
            pointer(part), len(part), VALUE_MIN, pointer(output)
        )
        for part, output in zip(parts, outputs)
    ]
    for part, output in zip(parts, outputs):
        high = part >= VALUE_MIN
        checked(bool((output == np.where(high, part - part // 10, 3 * part + 1)).all()), "map")


@dataclass(frozen=True)
class Work:
    """One bare kernel with its input: `begin(staged)` is the context manager; `amount` is rows or bytes."""

    amount: int
    unit: str
    begin: Callable[[bool], object]
    has_forms: bool


def work(name: str, rows: int, threads: int) -> Work:
    """The work of a limit by its name, with its input made. ValueError: there is no such limit."""
    kind, _, rest = name.partition(":")
    keys_text, _, distribution = rest.partition(":")
    keys = int(keys_text) if keys_text else 0
    spread: data.Distribution = "zipf" if distribution == "zipf" else "uniform"
    words = min(STREAM_WORDS, rows * 8) // 8 // threads * 8 * threads
    match kind:
        case "read":
            return Work(8 * words, "B/s", lambda staged: reading(words, threads), False)
        case "copy":  # bytes read and bytes written, as benchmarks count them
            return Work(16 * words, "B/s", lambda staged: copying(words, threads), False)
        case "random":
            count = min(RANDOM_COUNT, rows * 2) // threads * threads
            return Work(count, "lines/s", lambda staged: touching(RANDOM_BITS, count, threads), False)
        case "group_by":
            parts = events_by_key(rows, keys, spread, threads)
            distinct = distinct_keys(parts)
            return Work(rows, "rows/s", lambda staged: grouping(parts, distinct, staged), True)
        case "intern":
            parts = events_by_key(rows, keys, spread, threads)
            distinct = distinct_keys(parts)
            return Work(rows, "rows/s", lambda staged: interning(parts, distinct, staged), True)
        case "update":
            ids = data.key_positions(rows, keys, spread).astype(np.int32)
            pairs = [
                list(pair)
                for pair in zip(np.array_split(ids, threads), np.array_split(ids.astype(np.int64), threads))
            ]
            return Work(rows, "rows/s", lambda staged: updating(pairs, keys), False)
        case "tumbling":
            parts = events_by_key(rows, keys, spread, threads)
            return Work(rows, "rows/s", lambda staged: tumbling(parts, keys, staged), True)
        case "texts":
            return text_work(rows, data.urls(rows, keys, spread)["url"].combine_chunks(), threads)
        case "words":  # rows are lines; they come split
            lines = data.lines(rows)["line"].combine_chunks()
            return text_work(rows, pc.list_flatten(pc.split_pattern(lines, " ")), threads)
        case "filter":
            return Work(rows, "rows/s", lambda staged: filtering(rows, threads), False)
        case "map":
            return Work(rows, "rows/s", lambda staged: mapping(rows, threads), False)
    raise ValueError(
        f"{name!r} is no limit; there are read, copy, random, group_by:KEYS, intern:KEYS, update:KEYS, tumbling:KEYS, "
        "texts:KEYS (each also with :zipf), words, filter and map"
    )


def text_work(rows: int, texts: pa.Array, threads: int) -> Work:
    parts = texts_by_key(texts, threads)
    distinct = distinct_texts(parts)
    return Work(rows, "rows/s", lambda staged: counting(parts, distinct, staged), True)
