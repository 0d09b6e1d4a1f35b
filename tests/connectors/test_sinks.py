# SPDX-License-Identifier: Apache-2.0
"""Print, blackhole, and the sink that hands Arrow batches to a reader."""

from __future__ import annotations

import threading

import pyarrow as pa
import pytest

from flinkcore.columnar.batch import Batch
from flinkcore.columnar.schema import Schema
from flinkcore.connectors.arrow import ArrowCollectSink
from flinkcore.connectors.blackhole import BlackHoleSink
from flinkcore.connectors.fit import batch_of_values
from flinkcore.connectors.print import PrintSink
from flinkcore.errors import JobCancelledError

ROW = Batch.from_arrow(pa.record_batch({"a": ["x", None], "b": [1.0, 1e10]}))
TUPLE = batch_of_values(
    [("x", 1.0), ("y", 1e10)], Schema(["f0", "f1"], [pa.string(), pa.float64()], "tuple"), "test"
)
OBJECTS = batch_of_values([("x", 1), None], Schema.of_objects(), "test")


@pytest.mark.parametrize(
    "batch, lines",
    [
        (ROW, ["+I[x,1.0]", "+I[None,10000000000.0]"]),
        (TUPLE, ["(x,1.0)", "(y,1.0E10)"]),
        (OBJECTS, ["('x', 1)", "None"]),
    ],
)
@pytest.mark.parametrize(
    "identifier, subtask, parallelism, prefix",
    [
        (None, 0, 1, ""),
        ("id", 0, 1, "id> "),
        (None, 1, 2, "2> "),
        ("id", 0, 2, "id:1> "),
        ("", 0, 1, ""),
    ],
)
def test_lines_carry_pyflink_s_prefix(
    writing, capsys, batch, lines, identifier, subtask, parallelism, prefix
):
    writing.write(PrintSink(identifier), [batch], subtask_index=subtask, parallelism=parallelism)
    assert capsys.readouterr().out == "".join(f"{prefix}{line}\n" for line in lines)


def test_printing_to_standard_error(writing, capsys):
    writing.write(PrintSink("id", to_stderr=True), [TUPLE])
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.splitlines()[0] == "id> (x,1.0)"


def test_a_black_hole_takes_anything(writing):
    assert writing.write(BlackHoleSink(), [ROW, ROW]) == []


# -- Arrow collector ------------------------------------------------------------------------------------------


def test_the_reader_gets_batches_in_order_until_the_end(writing):
    sink = ArrowCollectSink(capacity=None)
    writing.write(sink, [ROW, ROW.slice(0, 1)])
    sink.finish()
    assert [batch.num_rows for batch in sink] == [2, 1]


def test_a_slow_reader_holds_the_job_back(writing):
    sink = ArrowCollectSink(capacity=2)
    written = []
    third_waits = threading.Event()

    def job():
        for i in range(5):
            if i == 2:
                third_waits.set()
            sink.put(ROW)
            written.append(i)
        sink.finish()

    thread = threading.Thread(target=job)
    thread.start()
    third_waits.wait()
    assert written == [0, 1]  # the third waits for room, which only the reader makes
    assert len(list(sink)) == 5
    thread.join()
    assert written == [0, 1, 2, 3, 4]


def test_a_reader_that_leaves_ends_the_job():
    sink = ArrowCollectSink(capacity=1)
    sink.put(ROW)
    raised = []

    def job():
        try:
            sink.put(ROW)
        except JobCancelledError as error:
            raised.append(str(error))

    thread = threading.Thread(target=job)
    thread.start()
    sink.cancel()
    thread.join()
    assert raised == ["the reader of the results was closed before the job had finished"]
    assert list(sink) == []


def test_a_job_that_fails_raises_in_the_reader_after_what_was_written():
    sink = ArrowCollectSink()
    sink.put(ROW)
    sink.fail(ValueError("boom"))
    results = iter(sink)
    assert next(results).num_rows == 2
    with pytest.raises(ValueError, match=r"boom"):
        next(results)
    with pytest.raises(JobCancelledError, match=r"the job has ended"):
        sink.put(ROW)
