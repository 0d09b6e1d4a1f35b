# SPDX-License-Identifier: Apache-2.0
"""Checkpoints for tests: small ones with every field in use, on any store."""

from __future__ import annotations

import random
from collections.abc import Sequence

from flinkcore.checkpoint.manifest import (
    ListState,
    Manifest,
    OperatorState,
    PartState,
    SubtaskState,
    write_manifest,
)
from flinkcore.checkpoint.segment import SegmentRef, SegmentWriter
from flinkcore.checkpoint.store import Store

JOB_ID = "0123456789abcdef0123456789abcdef"
OPERATOR_ID = "00112233445566778899aabbccddeeff"
SOURCE_ID = "ffeeddccbbaa99887766554433221100"
BLOCK_BYTES = 300


def write_segment(store: Store, path: str, blocks: Sequence[tuple[int, bytes]], *, since: int = 0, epoch: int = 1,
                  inline_bytes_max: int = 0, codec: str = "none") -> SegmentRef:
    writer = SegmentWriter(store, path, since=since, epoch=epoch, inline_bytes_max=inline_bytes_max, codec=codec)
    try:
        for part, payload in blocks:
            writer.write(part, payload)
        return writer.finish()
    except BaseException:
        writer.abort()
        raise


def blocks_of(seed: int, count: int = 3) -> list[tuple[int, bytes]]:
    """Some blocks that compress, and some that do not."""
    rng = random.Random(seed)
    return [(rng.randrange(3), rng.randbytes(rng.randrange(1, 40)) * rng.randrange(1, BLOCK_BYTES // 20))
            for _ in range(count)]


def manifest_of(chain: Sequence[SegmentRef], *, checkpoint_id: int = 1, kind: str = "checkpoint",
                job_name: str = "bids per minute", job_id: str = JOB_ID, created_ms: int = 0) -> Manifest:
    """A source and an operator of two subtasks; the first has the segments."""
    epoch = max((ref.epoch for ref in chain), default=0)
    parts = (
        PartState(0, "keys", "keys", 3, 120, {"types": ["string", "int64"]}),
        PartState(1, "total", "accumulators", 3, 96, {"aggregates": ["sum"]}, parent="keys"),
        PartState(2, "panes", "accumulators", 0, 0, {}, namespace={"start": -5}),
    )
    source = OperatorState(SOURCE_ID, None, "Source: bids", 1, 128, (
        SubtaskState(0, (0, 0), 1, finished=True, fields={"watermark": -(2**63), "offset": "a/b.csv"},
                     lists={"splits": ListState("split", [{"path": "ä.csv", "offset": 7}, None, [1, 2.5, True]]),
                            "rules": ListState("broadcast", [])}),
    ), coordinator={"next": 3})
    counter = OperatorState(OPERATOR_ID, "counter", "Count", 2, 128, (
        SubtaskState(0, (0, 64), epoch, parts=parts if chain else (), segments=tuple(chain)),
        SubtaskState(1, (64, 128), epoch),
    ))
    return Manifest(job_name, job_id, checkpoint_id, kind, created_ms or 1_000 * checkpoint_id, (source, counter),
                    trigger={"reason": "periodic"})


def write_checkpoint(job: Store, checkpoint_id: int, chain: Sequence[SegmentRef] = (), *, inline_bytes_max: int = 0,
                     created_ms: int = 0, job_name: str = "bids per minute", job_id: str = JOB_ID) -> Manifest:
    """A complete checkpoint of two segments: those of `chain`, and a new one."""
    since = chain[-1].epoch if chain else 0
    path = f"shared/op-0-{checkpoint_id}.seg"
    new = write_segment(job, path, blocks_of(checkpoint_id), since=since, epoch=checkpoint_id,
                        inline_bytes_max=inline_bytes_max)
    manifest = manifest_of([*chain, new], checkpoint_id=checkpoint_id, created_ms=created_ms, job_name=job_name,
                           job_id=job_id)
    write_manifest(job, f"chk-{checkpoint_id}/_metadata", manifest)
    return manifest


def chain_of(manifest: Manifest) -> list[SegmentRef]:
    return list(manifest.segments())
