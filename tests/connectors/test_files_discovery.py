# SPDX-License-Identifier: Apache-2.0
"""A monitored folder: new files are read when the clock says so, each once."""

from __future__ import annotations

import logging
import os

import pyarrow as pa
import pytest

from flinkcore.connectors.base import Boundedness
from flinkcore.connectors.files.csv import Csv
from flinkcore.connectors.files.source import FileSource
from flinkcore.connectors.files.text import TextLines
from flinkcore.errors import ConnectorError, SchemaError


def watch(path, **options):
    return FileSource(path, TextLines(), monitor_interval_ms=1000, **options)


def put(folder, name, text, mtime=None):
    path = folder / name
    path.write_text(text)
    if mtime is not None:
        os.utime(path, (mtime, mtime))


def test_new_files_are_found_after_the_interval_and_read_once(reading, tmp_path):
    put(tmp_path, "b", "1\n2", mtime=100)
    source = watch(tmp_path)
    assert source.boundedness is Boundedness.CONTINUOUS_UNBOUNDED
    enumerator = source.create_enumerator(1)
    assert enumerator.poll(5000) == 6000
    assert reading.take(source, enumerator) == ["1", "2"]
    put(tmp_path, "c", "4", mtime=300)
    put(tmp_path, "a", "5", mtime=300)
    put(tmp_path, "z", "3", mtime=200)
    assert reading.take(source, enumerator) == []
    assert enumerator.poll(6000) == 7000
    assert reading.take(source, enumerator) == ["3", "5", "4"]  # by time, then by name
    assert enumerator.poll(7000) == 8000
    assert reading.take(source, enumerator) == []
    assert not enumerator.is_finished()


def test_hidden_files_appear_when_they_get_their_name(reading, tmp_path):
    put(tmp_path, ".part-0.inprogress.1", "1")
    put(tmp_path, "_part-1", "2")
    source = watch(tmp_path)
    enumerator = source.create_enumerator(1)
    enumerator.poll(0)
    assert reading.take(source, enumerator) == []
    (tmp_path / ".part-0.inprogress.1").rename(tmp_path / "part-0")
    enumerator.poll(1000)
    assert reading.take(source, enumerator) == ["1"]


def test_a_file_that_grows_is_not_read_again_and_that_is_said(reading, tmp_path, caplog):
    put(tmp_path, "a", "1\n")
    source = watch(tmp_path)
    enumerator = source.create_enumerator(1)
    enumerator.poll(0)
    put(tmp_path, "a", "1\n2\n")
    assert reading.take(source, enumerator) == ["1"]
    with caplog.at_level(logging.WARNING):
        enumerator.poll(1000)
        enumerator.poll(2000)
    assert reading.take(source, enumerator) == []
    warnings = [record.getMessage() for record in caplog.records]
    assert (
        len(warnings) == 1
        and "a' changed from 2 to 4 bytes after it was found; it is not read again" in warnings[0]
    )


def test_a_name_is_read_once_even_when_the_file_comes_back(reading, tmp_path):
    put(tmp_path, "a", "1\n")
    source = watch(tmp_path)
    enumerator = source.create_enumerator(1)
    enumerator.poll(0)
    assert reading.take(source, enumerator) == ["1"]
    (tmp_path / "a").unlink()
    enumerator.poll(1000)
    put(tmp_path, "a", "1\n")
    enumerator.poll(2000)
    assert reading.take(source, enumerator) == []


def test_a_restored_enumerator_knows_what_was_read_and_what_was_not(reading, tmp_path):
    for name in "abc":
        put(tmp_path, name, name, mtime=ord(name))
    source = watch(tmp_path)
    enumerator = source.create_enumerator(1)
    enumerator.poll(0)
    assert enumerator.next_split(0).path.endswith("/a")
    restored = watch(tmp_path).restore_enumerator(2, enumerator.snapshot())
    put(tmp_path, "d", "d")
    restored.poll(1000)
    assert reading.take(source, restored, parallelism=2) == ["b", "c", "d"]


def test_an_empty_folder_or_glob_may_fill_later(reading, tmp_path):
    source = watch(tmp_path / "*.log")
    enumerator = source.create_enumerator(1)
    enumerator.poll(0)
    put(tmp_path, "x.log", "1")
    put(tmp_path, "x.txt", "2")
    enumerator.poll(1000)
    assert reading.take(source, enumerator) == ["1"]


def test_a_folder_that_does_not_exist_is_an_error_all_the_same(tmp_path):
    with pytest.raises(ConnectorError, match=r"no such file or folder: '.*missing'"):
        watch(tmp_path / "missing").create_enumerator(1).poll(0)


def test_a_folder_without_files_needs_a_schema(reading, tmp_path):
    with pytest.raises(SchemaError, match=r"there is no file with rows yet"):
        FileSource(tmp_path, Csv(), monitor_interval_ms=1000)
    FileSource(tmp_path, Csv(), pa.schema({"a": pa.int64()}), monitor_interval_ms=1000)


def test_large_new_files_are_split_among_subtasks(tmp_path):
    put(tmp_path, "a", "line\n" * 100)
    enumerator = watch(tmp_path, split_bytes=100).create_enumerator(2)
    enumerator.poll(0)
    assert len(enumerator.splits) == 5
