# SPDX-License-Identifier: Apache-2.0
"""One program in one engine, in a process of its own: python -m bench.programs.child '<json>'.

Prints a line of JSON: the version and the seconds of the job.
"""

from __future__ import annotations

import importlib
import json
import os
import runpy
import sys
import time
from pathlib import Path
from typing import Any


def run_example(program: str, source: str, output: str, replaces_collection: bool, own_time: bool) -> float:
    """Runs an example as it is. -> seconds: of execute(), or the net run time that the job has by its own account"""
    from pyflink.datastream import StreamExecutionEnvironment

    seconds: list[float] = []
    execute = StreamExecutionEnvironment.execute

    def timed(env: Any, *args: Any) -> Any:
        start_ns = time.perf_counter_ns()
        result = execute(env, *args)
        elapsed_s = (time.perf_counter_ns() - start_ns) / 1e9
        seconds.append(result.get_net_runtime() / 1000 if own_time else elapsed_s)
        return result

    StreamExecutionEnvironment.execute = timed
    arguments = ["--output", output]
    if replaces_collection:
        StreamExecutionEnvironment.from_collection = lambda env, _, type_info: events(env, source, type_info)
    else:
        arguments += ["--input", source]
    sys.argv = [program, *arguments]
    runpy.run_path(program, run_name="__main__")
    return sum(seconds)


def events(env: Any, source: str, type_info: Any) -> Any:
    """The stream of tuples that a file of lines `word,milliseconds` holds."""
    from pyflink.common import WatermarkStrategy
    from pyflink.datastream.connectors.file_system import FileSource
    from pyflink.datastream.formats.csv import CsvReaderFormat, CsvSchema
    from pyflink.table import DataTypes

    columns = CsvSchema.builder().add_string_column("word").add_number_column("ms", DataTypes.INT()).build()
    files = FileSource.for_record_stream_format(CsvReaderFormat.for_schema(columns), source).build()
    rows = env.from_source(files, WatermarkStrategy.no_watermarks(), "file_source")
    return rows.map(lambda row: (row[0], row[1]), type_info)


def measure(
    engine: str, name: str, program: str, source: str, output: str, replaces_collection: bool
) -> dict[str, Any]:
    if engine == "bytewax":
        module = importlib.import_module("bench.programs.with_bytewax")
        start_ns = time.perf_counter_ns()
        module.PROGRAMS[name](source, output)
        return {"version": module.version(), "seconds": (time.perf_counter_ns() - start_ns) / 1e9}
    if engine == "flinkcore":
        import flinkcore
        import flinkcore.as_pyflink

        version = flinkcore.__version__
    else:
        # Flink's scripts and workers look for `python`.
        os.environ["PYFLINK_CLIENT_EXECUTABLE"] = sys.executable
        os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        version = importlib.import_module("pyflink.version").__version__
    seconds = run_example(program, source, output, replaces_collection, own_time=engine == "pyflink")
    return {"version": version, "seconds": seconds}


if __name__ == "__main__":
    print(json.dumps(measure(**json.loads(sys.argv[1]))))
