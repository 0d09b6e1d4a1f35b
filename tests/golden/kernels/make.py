# SPDX-License-Identifier: Apache-2.0
"""How the files beside this one were made, with format 1. Never run again: it is the files that are kept."""

from pathlib import Path

import pyarrow as pa

from flinkcore.kernels import KeyedAggregates

SCHEMA = pa.schema({"word": pa.string(), "day": pa.int32(), "v": pa.int64()})
state = KeyedAggregates(SCHEMA, ["word", "day"], {"n": "count_star", "total": ("sum", "v"), "longest": ("max", "word")})


def batch(words, days, values):
    return pa.record_batch([pa.array(words), pa.array(days, pa.int32()), pa.array(values)], schema=SCHEMA)


here = Path(__file__).parent
state.update(batch(["storm", None, "storm"], [3, None, 3], [5, None, 6]))
(here / "keyed_aggregates_v1.bin").write_bytes(b"".join(state.freeze().export()))
state.update(batch(["storm", "a word that no slot holds"], [3, 4], [4, -7]))
(here / "keyed_aggregates_v1_changes.bin").write_bytes(b"".join(state.freeze(since=1).export()))
