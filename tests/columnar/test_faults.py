# SPDX-License-Identifier: Apache-2.0
"""A bad record fails the job, is dropped and counted, or goes to a side output, as the user decided."""

from __future__ import annotations

import collections

import pyarrow as pa
import pytest

from flinkcore.columnar.batch import Batch
from flinkcore.columnar.faults import BAD_RECORD_SCHEMA, DROPPED, SENT_ASIDE, BadRecords
from flinkcore.columnar.row import Row
from flinkcore.columnar.rows import to_rows
from flinkcore.errors import DataError


class Metrics(collections.Counter):
    def count(self, name, n=1):
        self[name] += n


class Tag:
    tag_id = "drop"  # a side output may have this name


def two_rows():
    return Batch.from_arrow(pa.record_batch({"k": pa.array([None, None], pa.int64()), "v": [1, 2]}))


def test_failing_names_the_record_and_the_ways_out():
    with pytest.raises(
        DataError, match=r"a.csv, line 7: 2 fields, expected 3, in the record x,y; .* dropped"
    ):
        BadRecords().report("x,y", "a.csv, line 7", "2 fields, expected 3")
    with pytest.raises(DataError, match=r"key is null, in the record Row\(k=None, v=1\)"):
        BadRecords("fail").rows(two_rows(), "key is null")


def test_dropping_counts():
    metrics = Metrics()
    policy = BadRecords("drop", metrics)
    policy.report("x", "here", "bad")
    policy.rows(two_rows(), "null")
    assert metrics == {DROPPED: 3} and policy.drops and not policy.fails


def test_a_side_output_takes_the_record_as_text_with_the_reason():
    for policy, tag in (("bad", "bad"), (Tag(), "drop")):
        metrics, aside = Metrics(), []
        records = BadRecords(policy, metrics, lambda tag, batch, aside=aside: aside.append((tag, batch)))
        records.report("x,y", "line 7", "short")
        records.rows(two_rows(), "key is null")
        assert [tag for tag, _ in aside] == [tag, tag]
        assert [row for _, batch in aside for row in to_rows(batch)] == [
            Row(record="x,y", reason="line 7: short"),
            Row(record="Row(k=None, v=1)", reason="key is null"),
            Row(record="Row(k=None, v=2)", reason="key is null"),
        ]
        assert metrics == {SENT_ASIDE: 3}
        assert all(batch.schema == BAD_RECORD_SCHEMA for _, batch in aside)


def test_without_records_nothing_happens():
    metrics = Metrics()
    BadRecords("fail", metrics).rows(two_rows().slice(0, 0), "never")
    assert not metrics
