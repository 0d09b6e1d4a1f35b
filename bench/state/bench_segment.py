# SPDX-License-Identifier: Apache-2.0
"""Segments written to a new file, durable when the writer returns, and read back; blocks of 1 MB.

Each run writes a file of its own, as checkpoints do. With --full give --basetemp on the disk that is meant.
"""

from __future__ import annotations

from itertools import count

import numpy as np
import pytest

from flinkcore.checkpoint.location import open_store
from flinkcore.checkpoint.manifest import (
    Manifest,
    OperatorState,
    PartState,
    SubtaskState,
    decode,
    encode,
)
from flinkcore.checkpoint.segment import SegmentRef, SegmentWriter, read_segment
from flinkcore.checkpoint.store import Store

BLOCK_BYTES = 1 << 20
ROW_BYTES = 32


def blocks_of(block_count: int) -> list[np.ndarray]:
    """Counters under small keys, which compress to about half; 16 different blocks by turns."""
    rng = np.random.default_rng(42)
    distinct = [rng.integers(0, 2**20, BLOCK_BYTES // 8, dtype=np.int64).view(np.uint8) for _ in range(16)]
    return [distinct[i % 16] for i in range(block_count)]


def write(store: Store, path: str, blocks: list[np.ndarray], codec: str) -> SegmentRef:
    writer = SegmentWriter(store, path, since=0, epoch=1, codec=codec)
    for i, block in enumerate(blocks):
        writer.write(i, block)
    return writer.finish()


@pytest.mark.parametrize("codec", ["none", "lz4", "zstd"])
def bench_write_segment(timed, size, tmp_path, codec):
    blocks = blocks_of(size(smoke=2, full=512))
    store, paths = open_store(tmp_path), (f"shared/{i}.seg" for i in count())
    total = BLOCK_BYTES * len(blocks)
    ref = timed(lambda: write(store, next(paths), blocks, codec), rows=total // ROW_BYTES, bytes=total)
    assert store.size(ref.path) == ref.bytes
    assert (ref.bytes > total) == (codec == "none")


@pytest.mark.parametrize("codec", ["none", "lz4", "zstd"])
def bench_read_segment(timed, size, tmp_path, codec):
    """From the page cache: the run that warms up has read it."""
    blocks = blocks_of(size(smoke=2, full=512))
    store = open_store(tmp_path)
    ref = write(store, "shared/x.seg", blocks, codec)
    total = BLOCK_BYTES * len(blocks)
    read = timed(lambda: sum(len(payload) for _, payload in read_segment(store, ref)), rows=total // ROW_BYTES,
                 bytes=total)
    assert read == total


def bench_manifest(timed, size):
    """Encoded, checked and decoded: operators of 8 subtasks with chains of 32 segments. A row is a segment."""
    operators = size(smoke=1, full=40)
    chain = tuple(SegmentRef(f"shared/{i}.seg", 10**6, i, i, i + 1) for i in range(32))
    parts = (PartState(0, "keys", "keys", 10, 100), PartState(1, "sum", "accumulators", 10, 100, parent="keys"))
    manifest = Manifest("job", "0" * 32, 1, "checkpoint", 0, tuple(
        OperatorState(f"{number:032x}", None, "operator", 8, 128, tuple(
            SubtaskState(i, (16 * i, 16 * i + 16), 32, parts=parts, segments=chain) for i in range(8)))
        for number in range(operators)))
    rows = operators * 8 * 32
    found = timed(lambda: decode(b"".join(encode(manifest))), rows=rows, bytes=len(b"".join(encode(manifest))))
    assert found == manifest
