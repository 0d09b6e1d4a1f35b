# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq


def test_good_readings_go_to_parquet_and_others_say_why(example, source_of, tmp_path: Path) -> None:
    lines = example("stream_cleaning.py", str(tmp_path / "readings"))
    raw = source_of("stream_cleaning.py").raw_lines()
    rejected = [line.removeprefix("rejected> ") for line in lines if line.startswith("rejected> ")]
    table = pq.read_table(tmp_path / "readings")
    assert table.column_names == ["sensor", "time", "celsius"]
    assert table.num_rows + len(rejected) == len(raw)
    assert len(rejected) > 5
    assert all(any(reason.endswith(line) for line in raw) for reason in rejected)
    good = {line for line in raw if not any(reason.endswith(line) for reason in rejected)}
    assert sorted(table.to_pylist(), key=lambda row: row["time"]) == [
        json.loads(line) for line in raw if line in good]
    assert lines[-1].startswith(f"{table.num_rows} good readings of 7 sensors")
