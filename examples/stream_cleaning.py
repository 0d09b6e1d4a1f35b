# SPDX-License-Identifier: Apache-2.0
"""Stream cleaning: readings of sensors are parsed and checked; good ones go to Parquet, bad ones say why.

    flinkcore run examples/stream_cleaning.py [folder for the Parquet files]

A bad record never stops the job and is never lost: it leaves by a side output, with the reason.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from flinkcore.common import Types
from flinkcore.datastream import OutputTag, ProcessFunction, StreamExecutionEnvironment
from flinkcore.datastream.connectors.file_system import FileSink, OutputFileConfig
from flinkcore.datastream.formats.parquet import ParquetBulkWriters
from flinkcore.table import DataTypes

READING = Types.ROW_NAMED(["sensor", "time", "celsius"], [Types.STRING(), Types.LONG(), Types.DOUBLE()])
COLUMNS = DataTypes.ROW([
    DataTypes.FIELD("sensor", DataTypes.STRING()),
    DataTypes.FIELD("time", DataTypes.BIGINT()),
    DataTypes.FIELD("celsius", DataTypes.DOUBLE()),
])
REJECTED = OutputTag("rejected", Types.STRING())


def raw_lines(count: int = 200) -> list[str]:
    """Lines as a gateway would send them: mostly fine, sometimes broken."""
    random = np.random.default_rng(seed=13)
    lines = []
    for i in range(count):
        reading = {"sensor": f"s{i % 7}", "time": 1_767_225_600_000 + i * 1000,
                   "celsius": round(float(random.normal(21, 4)), 2)}
        match int(random.integers(0, 40)):
            case 0:
                lines.append(json.dumps(reading)[:-9])
            case 1:
                lines.append(json.dumps({**reading, "celsius": -400.0}))
            case 2:
                lines.append(json.dumps({**reading, "sensor": None}))
            case 3:
                del reading["time"]
                lines.append(json.dumps(reading))
            case _:
                lines.append(json.dumps(reading))
    return lines


class Clean(ProcessFunction):
    """A reading for each good line; everything else to the side output `rejected`."""

    def process_element(self, line: str, ctx: ProcessFunction.Context) -> Iterator[object]:
        try:
            reading = json.loads(line)
            sensor, time, celsius = reading["sensor"], reading["time"], reading["celsius"]
            if not isinstance(sensor, str):
                raise ValueError("the sensor has no name")
            if not -273.15 <= celsius <= 1_000:
                raise ValueError(f"{celsius} degrees are impossible")
        except json.JSONDecodeError as error:
            yield REJECTED, f"not JSON ({error}): {line}"
        except KeyError as error:
            yield REJECTED, f"no {error} in {line}"
        except (TypeError, ValueError) as error:
            yield REJECTED, f"{error}: {line}"
        else:
            yield sensor, time, celsius


def main() -> None:
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp(prefix="readings-"))
    env = StreamExecutionEnvironment.get_execution_environment()
    env.set_parallelism(1)
    cleaned = env.from_collection(raw_lines(), Types.STRING()).process(Clean(), READING)
    cleaned.sink_to(
        FileSink.for_bulk_format(str(folder), ParquetBulkWriters.for_row_type(COLUMNS))
        .with_output_file_config(OutputFileConfig.builder().with_part_suffix(".parquet").build())
        .build())
    cleaned.get_side_output(REJECTED).print("rejected")
    env.execute("stream cleaning")

    readings = pq.read_table(folder)
    print(f"{readings.num_rows} good readings of {len(readings['sensor'].unique())} sensors in {folder}")


if __name__ == "__main__":
    main()
