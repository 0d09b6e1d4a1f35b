# SPDX-License-Identifier: Apache-2.0
"""Accumulators as values of a table of state, where windows run on rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from flinkcore._native.agg import Accumulators
from flinkcore.errors import StateFormatError
from flinkcore.state.codec import Codec, Description

_ONLY = np.zeros(1, np.int32)


class AccumulatorRows(Codec):
    """Accumulators of one row: what a snapshot of them is, and the kinds of comparands that they have learned.

    kernels : as Accumulators takes them
    """

    type = pa.struct([("comparands", pa.list_(pa.string())), ("blocks", pa.list_(pa.binary()))])

    def __init__(self, kernels: Sequence[Any], shown: dict[str, Any] | None = None) -> None:
        self._kernels = kernels
        self.shown = shown

    def describe(self) -> Description:
        aggregates = Accumulators(self._kernels).describe()["aggregates"]
        return {"type": "ACCUMULATORS", "aggregates": [aggregate[:3] for aggregate in aggregates]}

    def copy(self, value: Accumulators) -> Accumulators:
        copied = Accumulators(self._kernels)
        copied.merge(value, _ONLY, _ONLY)
        return copied

    def encode(self, values: list[Accumulators]) -> pa.Array:
        comparands = [[aggregate[3] for aggregate in value.describe()["aggregates"]] for value in values]
        parts = [
            pa.array(comparands, self.type.field(0).type),
            pa.array(list(map(self._blocks, values)), self.type.field(1).type),
        ]
        return pa.StructArray.from_arrays(parts, fields=list(self.type))

    def _blocks(self, value: Accumulators) -> list[bytes]:
        # A copy is frozen, since freezing is for the thread that updates the value.
        frozen = self.copy(value).freeze(0, 1)
        try:
            return list(frozen.blocks())
        finally:
            frozen.release()

    def decode(self, array: pa.Array, allow_pickle: bool = False) -> list[Accumulators]:
        return list(map(self._value, array.field(0).to_pylist(), array.field(1).to_pylist()))

    def _value(self, comparands: list[str | None] | None, blocks: list[bytes | None] | None) -> Accumulators:
        value = Accumulators(self._kernels)
        aggregates = value.describe()["aggregates"]
        if comparands is None or blocks is None or len(comparands) != len(aggregates) or None in blocks:
            raise StateFormatError("the accumulator of a window lacks its comparands or its blocks")
        value.adopt({"aggregates": [[*each[:3], kind] for each, kind in zip(aggregates, comparands)]})
        for block in blocks:
            value.load(block)  # type: ignore[arg-type]
        return value
