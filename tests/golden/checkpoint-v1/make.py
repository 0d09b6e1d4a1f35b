# SPDX-License-Identifier: Apache-2.0
"""Writes the checkpoint and the savepoint beside it, of format version 1. They are never written again.

    PYTHONPATH=. python tests/golden/checkpoint-v1/make.py FOLDER
"""

import sys

from flinkcore.checkpoint.manifest import (
    ListState,
    Manifest,
    OperatorState,
    PartState,
    SubtaskState,
    write_manifest,
)
from flinkcore.checkpoint.segment import SegmentWriter
from flinkcore.checkpoint.location import open_store

JOB_ID = "0123456789abcdef0123456789abcdef"
BLOCKS = {
    "none": [(0, b"keys of epoch 1"), (1, bytes(range(256))), (2, b"\0" * 100)],
    "lz4": [(0, b"keys of epoch 2 " * 20), (1, bytes(range(256)))],
    "zstd": [(0, b"keys of epoch 4 " * 20), (7, b"x")],
    "inline": [(1, b"totals of epoch 5 " * 10)],
}


def segment(store, path, name, since, epoch, codec):
    writer = SegmentWriter(store, path, since=since, epoch=epoch, codec=codec,
                           inline_bytes_max=20_480 if name == "inline" else 0)
    for part, payload in BLOCKS[name]:
        writer.write(part, payload)
    return writer.finish()


def manifest(kind, checkpoint_id, chain):
    return Manifest(
        job_name="bids per minute", job_id=JOB_ID, checkpoint_id=checkpoint_id, kind=kind, created_ms=1_760_000_000_000,
        trigger={"reason": "periodic"}, flinkcore_version="0.1.0",
        operators=(
            OperatorState("f" * 32, None, "Source: bids", 1, 128, (
                SubtaskState(0, (0, 0), 5, finished=True, fields={"watermark": -(2**63), "file": "bids-ä.csv"},
                             lists={"splits": ListState("split", [{"path": "a", "offset": 7}, None, [1, 2.5, True]]),
                                    "all": ListState("union", ["x"]), "rules": ListState("broadcast", [])}),
            ), coordinator={"next": 3, "open": ["b", "c"]}),
            OperatorState("a" * 32, "counter", "Count", 2, 128, (
                SubtaskState(0, (0, 64), 5, segments=chain, parts=(
                    PartState(0, "keys", "keys", 3, 120, {"types": ["string"]}),
                    PartState(1, "total", "accumulators", 3, 96, {"aggregates": ["sum"]}, parent="keys"),
                    PartState(2, "panes", "accumulators", 0, 0, {}, namespace={"start": -5}),
                )),
                SubtaskState(1, (64, 128), 0),
            )),
        ))


def main(folder):
    job = open_store(folder).below(JOB_ID)
    chain = (
        segment(job, "shared/none.seg", "none", 0, 1, "none"),
        segment(job, "shared/lz4.seg", "lz4", 1, 2, "lz4"),
        segment(job, "shared/zstd.seg", "zstd", 2, 4, "zstd"),
        segment(job, "", "inline", 4, 5, "none"),
    )
    write_manifest(job, "chk-5/_metadata", manifest("checkpoint", 5, chain))
    savepoint = open_store(folder).below("savepoint-0123456789ab")
    write_manifest(savepoint, "_metadata", manifest("savepoint", 6, (
        segment(savepoint, "none.seg", "none", 0, 1, "none"),)))


if __name__ == "__main__":
    main(sys.argv[1])
