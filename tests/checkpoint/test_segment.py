# SPDX-License-Identifier: Apache-2.0
"""Segments: blocks come back as they were written, or an error says what is wrong with which of them."""

from __future__ import annotations

import dataclasses
import random
import struct
import tracemalloc

import pytest
import xxhash

from flinkcore.checkpoint.memory_store import MemoryStore
from flinkcore.checkpoint.segment import SegmentRef, SegmentWriter, faults_of_segment, read_segment
from flinkcore.checkpoint.store import Store
from flinkcore.errors import CheckpointError, CheckpointStorageError, StateFormatError
from tests.checkpoint.manifests import blocks_of, write_segment

CODECS = ("none", "lz4", "zstd")


def blocks_in(store: Store, ref: SegmentRef) -> list[tuple[int, bytes]]:
    return [(part, bytes(payload)) for part, payload in read_segment(store, ref)]


@pytest.mark.parametrize("codec", CODECS)
def test_blocks_come_back_in_order(store: Store, codec: str) -> None:
    blocks = [(7, b"a"), (0, b"b" * 1000), *blocks_of(1, 20), (2**32 - 1, random.Random(2).randbytes(200_000)),
              (0, bytes(3_000_000))]
    ref = write_segment(store, "a/b/x.seg", blocks, since=3, epoch=9, codec=codec)
    assert blocks_in(store, ref) == blocks
    assert (ref.path, ref.since, ref.epoch, ref.bytes) == ("a/b/x.seg", 3, 9, store.size("a/b/x.seg"))
    if codec != "none":
        assert ref.bytes < 300_000


@pytest.mark.parametrize("codec", CODECS)
def test_a_small_segment_is_no_file(store: Store, codec: str) -> None:
    blocks = blocks_of(1)
    ref = write_segment(store, "a/b/x.seg", blocks, inline_bytes_max=20_480, codec=codec)
    assert ref.path is None and len(ref.inline) == ref.bytes
    assert store.list("a/b") == []
    assert blocks_in(store, ref) == blocks


def test_the_threshold_counts_every_byte() -> None:
    store = MemoryStore()
    ref = write_segment(store, "x.seg", [(0, bytes(1000))], inline_bytes_max=32 + 1000 + 24 + 16)
    assert ref.path is None and ref.bytes == 32 + 1000 + 24 + 16
    assert write_segment(store, "x.seg", [(0, bytes(1001))], inline_bytes_max=ref.bytes).path == "x.seg"
    assert write_segment(store, "y.seg", [(0, b"1")] * 50, inline_bytes_max=1000).path == "y.seg"


def test_a_snapshot_without_a_change_is_a_segment_without_a_block(store: Store) -> None:
    assert blocks_in(store, write_segment(store, "a/b/x.seg", [])) == []
    assert blocks_in(store, write_segment(store, "a/b/x.seg", [], inline_bytes_max=100)) == []


def test_what_is_aborted_leaves_nothing(store: Store) -> None:
    writer = SegmentWriter(store, "a/b/x.seg", since=0, epoch=1)
    writer.write(0, bytes(200_000))
    writer.abort()
    writer.abort()
    assert store.list("a/b") == []


def test_a_payload_may_change_once_it_is_written() -> None:
    store = MemoryStore()
    for size in (10, 200_000):
        payload = bytearray(b"x" * size)
        writer = SegmentWriter(store, "x.seg", since=0, epoch=1)
        writer.write(0, payload)
        payload[:] = b"y" * size
        assert blocks_in(store, writer.finish()) == [(0, b"x" * size)]


def test_a_block_has_at_least_a_byte() -> None:
    with pytest.raises(CheckpointError, match="part 3 has 0 bytes"):
        SegmentWriter(MemoryStore(), "x.seg", since=0, epoch=1).write(3, b"")


def test_a_file_that_cannot_be_written_is_one_error() -> None:
    class Full(MemoryStore):
        def create(self, path: str, *, if_absent: bool = False) -> None:  # type: ignore[override]
            raise CheckpointStorageError("full")

    writer = SegmentWriter(Full(), "x.seg", since=0, epoch=1)
    with pytest.raises(CheckpointStorageError):
        writer.write(0, bytes(100_000))
    writer.abort()


# -- damage --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("inline", [False, True])
def test_every_changed_byte_is_found(codec: str, inline: bool) -> None:
    store = MemoryStore()
    ref = write_segment(store, "x.seg", [(0, b"abc" * 20), (1, b"z" * 50)], codec=codec,
                        inline_bytes_max=1000 if inline else 0)
    data = bytes(ref.inline) if inline else store.files["x.seg"]
    for position in range(len(data)):
        for value in {data[position] ^ 1, data[position] ^ 128, 0, 255} - {data[position]}:
            changed = data[:position] + bytes([value]) + data[position + 1 :]
            store.files["x.seg"] = changed
            other = dataclasses.replace(ref, inline=changed) if inline else ref
            with pytest.raises(StateFormatError):
                blocks_in(store, other)
            assert list(faults_of_segment(store, other))


def test_every_other_length_is_found() -> None:
    store = MemoryStore()
    ref = write_segment(store, "x.seg", [(0, b"abc" * 20)])
    data = store.files["x.seg"]
    for length in range(len(data)):
        store.files["x.seg"] = data[:length]
        with pytest.raises(StateFormatError, match=r"memory:/x.seg.*put the original file back"):
            blocks_in(store, ref)
    store.files["x.seg"] = data + b"\0"
    with pytest.raises(StateFormatError, match="it has 133 bytes, and had 132 when it was written"):
        blocks_in(store, ref)


def test_another_segment_in_its_place_is_found() -> None:
    store = MemoryStore()
    first = write_segment(store, "1.seg", [(0, b"abc")])
    second = write_segment(store, "2.seg", [(0, b"abd")])
    later = write_segment(store, "3.seg", [(0, b"abc")], since=1, epoch=2)
    for other in (second, later):
        store.files["1.seg"] = store.files[str(other.path)]
        with pytest.raises(StateFormatError, match=r"digest|epochs 1 to 2, and 0 to 1 are expected"):
            blocks_in(store, first)


def test_a_missing_and_a_foreign_segment_say_so() -> None:
    store = MemoryStore()
    ref = write_segment(store, "x.seg", [(0, b"abc" * 20)])
    store.files["x.seg"] = b"PAR1" + store.files["x.seg"][4:]
    with pytest.raises(StateFormatError, match=r"is no segment of flinkcore: it begins with b'PAR1'"):
        blocks_in(store, ref)
    del store.files["x.seg"]
    with pytest.raises(StateFormatError, match=r"segment 'memory:/x\.seg' is missing"):
        blocks_in(store, ref)


def test_a_newer_version_says_so() -> None:
    store = MemoryStore()
    ref = write_segment(store, "x.seg", [(0, b"abc")])
    store.files["x.seg"] = store.files["x.seg"][:4] + b"\2\0" + store.files["x.seg"][6:]
    with pytest.raises(StateFormatError, match="has format 2; this flinkcore reads 1 to 1; restore with a newer"):
        blocks_in(store, ref)


def test_every_fault_is_reported_and_the_rest_is_read() -> None:
    store = MemoryStore()
    ref = write_segment(store, "x.seg", [(part, bytes([part]) * 100) for part in range(5)])
    data = bytearray(store.files["x.seg"])
    data[32 + 150] ^= 1
    data[32 + 450] ^= 1
    store.files["x.seg"] = bytes(data)
    faults = list(faults_of_segment(store, ref))
    assert ["block 1 of part 1 does not have its checksum" in faults[0],
            "block 4 of part 4 does not have its checksum" in faults[1], len(faults)] == [True, True, 2]
    read = read_segment(store, ref)
    assert next(read)[0] == 0
    with pytest.raises(StateFormatError):
        next(read)


# -- made to harm ----------------------------------------------------------------------------------------------------


def crafted(store: MemoryStore, stored: bytes, entries: list[tuple[int, int, int, int, int]], *, codec: int = 1,
            count: int | None = None) -> SegmentRef:
    """A segment whose checksums are right, whatever it says."""
    header = struct.pack("<4sHBBQQQ", b"FCSG", 1, codec, 0, 0, 1, 0)
    index = b"".join(struct.pack("<IIIIQ", *entry) for entry in entries)
    end = struct.pack("<4sI", b"FCSE", len(entries) if count is None else count)
    digest = xxhash.xxh3_64_intdigest(header + index + end)
    store.files["x.seg"] = header + stored + index + end + digest.to_bytes(8, "little")
    return SegmentRef("x.seg", len(store.files["x.seg"]), digest, 0, 1)


@pytest.mark.parametrize(("stored", "entries", "codec", "count"), [
    (b"abc", [(0, 0, 0, 0, 0)], 1, None),                    # an empty block
    (b"abc", [(0, 2, 3, 0, 0)], 1, None),                    # longer than raw
    (b"abc", [(0, 2**32 - 1, 3, 0, 0)], 1, None),            # shorter than raw, and not compressed
    (b"abc", [(0, 2**32 - 1, 3, 0, 0)], 2, None),            # a bomb
    (b"abc", [(0, (64 << 20) + 1, 3, 0, 0)], 3, None),       # a little bomb
    (b"abc", [(0, 4, 4, 0, 0)], 1, None),                    # reads into the index
    (b"abc", [(0, 2**32 - 1, 2**32 - 1, 0, 0)], 1, None),    # reads beyond the end
    (b"abc", [(0, 2, 2, 0, 0)], 1, None),                    # leaves bytes out
    (b"abc", [(0, 3, 3, 1, 0)], 1, None),                    # reserved
    (b"abc", [(0, 3, 3, 0, 0)], 9, None),                    # an unknown codec
    (b"abc", [(0, 3, 3, 0, 0)], 0, None),
    (b"abc", [], 1, 2**32 - 1),                              # an index of 100 GB
    (b"abc", [(0, 60, 3, 0, 0)], 2, None),                   # garbage to decompress
    (b"abc", [(0, 60, 3, 0, 0)], 3, None),
])
def test_no_length_is_believed(stored: bytes, entries: list[tuple[int, int, int, int, int]], codec: int,
                               count: int | None) -> None:
    store = MemoryStore()
    ref = crafted(store, stored, entries, codec=codec, count=count)
    tracemalloc.start()
    try:
        with pytest.raises(StateFormatError):
            blocks_in(store, ref)
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()


def test_a_block_that_unpacks_to_less_than_it_says_gives_no_foreign_memory() -> None:
    import pyarrow as pa

    store = MemoryStore()
    packed = bytes(pa.Codec("lz4_raw").compress(b"a" * 1000))
    checksum = xxhash.xxh3_64_intdigest(b"a" * 1000, xxhash.xxh3_64_intdigest(packed))
    assert blocks_in(store, crafted(store, packed, [(0, 1000, len(packed), 0, checksum)], codec=2))
    with pytest.raises(StateFormatError):
        blocks_in(store, crafted(store, packed, [(0, 2000, len(packed), 0, checksum)], codec=2))


@pytest.mark.parametrize("codec", CODECS)
def test_blocks_of_some_parts_are_read_without_the_others(store: Store, codec: str) -> None:
    blocks = [(part, bytes([i]) * 1000 * (1 + part)) for i, part in enumerate([0, 1, 1, 2, 0, 1, 3, 3])]
    ref = write_segment(store, "x.seg", blocks, codec=codec)
    for parts in ({1}, {0, 3}, {1, 2}, set(), {9}, {0, 1, 2, 3}):
        found = [(part, bytes(payload)) for part, payload in read_segment(store, ref, parts)]
        assert found == [block for block in blocks if block[0] in parts]
