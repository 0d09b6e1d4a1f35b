# SPDX-License-Identifier: Apache-2.0
"""Lines of real text to words."""

from __future__ import annotations

import pytest

from bench import data
from bench.kernels.batches import batches_of, bytes_of
from flinkcore._native.column import Column
from flinkcore._native.split import split


@pytest.mark.parametrize("separator", [b" ", None], ids=["by a space", "by spaces"])
def bench_split(timed, size, separator):
    rows = size(smoke=10_000, full=2_000_000)
    lines = data.lines(rows)["line"]
    columns = [Column.from_arrow(lines)]
    batches = batches_of(columns)
    made = timed(lambda: [split(line, separator) for (line,) in batches], rows=rows, bytes=bytes_of(columns))
    assert sum(len(parts) for parts, _ in made) == sum(len(line.split()) for line in lines.to_pylist())
