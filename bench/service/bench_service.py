# SPDX-License-Identifier: Apache-2.0
"""Memory, latency and start are measured of jobs that do what they say."""

from __future__ import annotations

import time

import numpy as np
import pyarrow as pa
import pytest

from bench import __main__ as command
from bench.data import sparse
from bench.service import latency, memory, start
from flinkcore.connectors.base import RangeSplit


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("pipeline", list(latency.PIPELINES))
@pytest.mark.parametrize("rate", [None, 1_000_000])
def bench_every_record_arrives(pipeline, threads, rate):
    latencies_ns = latency.fly(pipeline, threads, 300, rate)
    assert len(latencies_ns) == 300 and (latencies_ns > 0).all()


def bench_the_python_function_is_called_for_each_record():
    from flinkcore.datastream import StreamExecutionEnvironment

    env = StreamExecutionEnvironment.get_execution_environment()
    source = latency.TimedSource(latency.Flight(), 1, None)
    stream = env.from_source(source, latency.WatermarkStrategy.no_watermarks(), "records")
    described = repr(latency.called(stream)._transformation.factory().describe())
    assert "native=False" in described


def bench_a_record_waits_for_the_one_before():
    flight = latency.Flight()
    reader = latency.SingleReader(RangeSplit("records", 0, 2), flight)
    assert reader.read(10, 0).num_rows == 1
    assert reader.read(10, 0).num_rows == 0  # the first is still on its way
    flight.arrived(np.array([1]), 2)
    assert reader.read(10, 0).num_rows == 1
    flight.arrived(np.array([1]), 2)
    assert reader.read(10, 0) is None


def bench_paced_records_carry_the_time_that_they_were_due():
    reader = latency.PacedReader(RangeSplit("records", 0, 50), 1_000)
    reader.start_ns = time.perf_counter_ns() - 20_000_000  # 20 ms ago: 21 or more are due
    given = reader.read(10, 0)
    np.testing.assert_array_equal(given["sent_ns"].to_numpy(), reader.start_ns + np.arange(10) * 1_000_000)
    assert reader.read(100, 0).num_rows >= 11


def bench_histogram():
    assert latency.histogram(np.array([500, 1_000, 1_999, 2_000, 17_000])) == (
        "from 1.00 µs 60.00%, 2.00 µs 20.00%, 16.0 µs 20.00%"
    )


def bench_latency_command(capsys):
    arguments = [
        "latency",
        "sum by key",
        "--threads",
        "1",
        "--records",
        "50",
        "--seconds",
        "0.01",
        "--repetitions",
        "2",
    ]
    assert command.main(arguments) == 0
    printed = capsys.readouterr().out
    assert "sum by key, 1 thread, p99.9" in printed and "latency paced: 100,000 records a second" in printed
    assert command.main(["latency", "no such"]) == 2


def bench_urls_are_those_of_their_numbers():
    numbers = np.arange(1_000)
    made = memory.urls(numbers)
    words = sparse(numbers).view(np.uint64)
    assert made.to_pylist() == [f"https://www.example.com/item/{int(word) >> 8:014x}" for word in words]


@pytest.mark.parametrize("state", list(memory.STATES))
def bench_states_hold_each_key(state):
    from flinkcore.datastream import StreamExecutionEnvironment

    job, has_urls, _ = memory.STATES[state]
    source = memory.DistinctKeys(3_000, 1_000, has_urls)
    env = StreamExecutionEnvironment.get_execution_environment()
    env.set_parallelism(1)
    strategy = memory.WatermarkStrategy.for_monotonous_timestamps().with_timestamp_column("date_time")
    with job(env.from_source(source, strategy, "keys")).execute_and_collect() as rows:
        last = {row[0]: row for row in rows}
    keys = (memory.urls if has_urls else sparse)(np.arange(1_000))
    assert set(last) == set(keys.to_pylist() if isinstance(keys, pa.Array) else keys.tolist())
    assert sum(row["count"] for row in last.values()) == 3_000
    assert source.resident_bytes > 0


def bench_memory_command(capsys):
    assert command.main(["memory", "--keys", "20000"]) == 0
    printed = capsys.readouterr().out
    assert "running count by url of 43 bytes, peak" in printed and "(twice the bare size)" in printed


def bench_start_command(capsys):
    assert command.main(["start", "--repetitions", "2"]) == 0
    assert "flinkcore run, a word count of 1 KB" in capsys.readouterr().out


def bench_a_wrong_word_count_is_seen():
    right = "".join(f"({word},{start.TEXT.split().count(word)})\n" for word in set(start.TEXT.split()))
    start.check("(to,1)\n" + right)  # an earlier count, then the last ones
    with pytest.raises(ValueError, match="word count"):
        start.check(right.replace("(be,", "(bee,"))
