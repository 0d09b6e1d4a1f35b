# SPDX-License-Identifier: Apache-2.0
"""Before an upgrade the command says what becomes of each operator and state."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from flinkcore.checkpoint import SavepointWriter
from flinkcore.cli import main
from flinkcore.common import Types
from flinkcore.datastream.state import ListStateDescriptor, ValueStateDescriptor

JOB = """
from flinkcore.common import Types
from flinkcore.datastream import StreamExecutionEnvironment
from flinkcore.datastream.functions import KeyedProcessFunction
from flinkcore.datastream.state import ListStateDescriptor, ValueStateDescriptor

class Count(KeyedProcessFunction):
    def open(self, runtime_context):
        {open}
        self.count = runtime_context.get_state(ValueStateDescriptor("count", {type}))
        {more}

    def process_element(self, value, ctx):
        raise AssertionError("no record is read")

env = StreamExecutionEnvironment.get_execution_environment()
env.set_parallelism({parallelism})
{set}
users = env.from_collection([{record}], Types.ROW_NAMED(["user"], [{key}]))
users.key_by("user").process(Count()).uid({uid!r}).name("Count").print()
env.execute("counts")
"""
USUAL = {"open": "pass", "type": "Types.INT()", "more": "", "parallelism": 2, "set": "", "uid": "count",
         "key": "Types.STRING()", "record": ("ann",)}  # fmt: skip


@pytest.fixture
def savepoint(tmp_path: Path) -> str:
    """An INT and a list for each user."""
    writer = SavepointWriter.new_savepoint(job_name="counts")
    counts = pa.table({"user": ["ann"], "n": [1]})
    words = pa.table({"user": ["ann"], "w": ["x"]})
    writer.with_keyed_state("count", ValueStateDescriptor("count", Types.INT()), counts, "user")
    writer.with_keyed_state("count", ListStateDescriptor("words", Types.STRING()), words, "user")
    return writer.write(tmp_path / "saved")


CASES = {
    "as it is": ({}, [], 0, ["Count (uid 'count') keeps its state", "keys: as it is", "table/count: as it is",
                             "table/words: not asked for yet", "timers/event: is new", "the job would start from it"]),
    "wider": ({"type": "Types.LONG()"}, [], 0, ["table/count: migrated; INT became LONG"]),
    "narrower": ({"type": "Types.STRING()"}, [], 1,
                 ["Count (uid 'count') cannot have its state", "table/count: does not fit; INT became STRING",
                  "the job would not start from it"]),
    "other keys": ({"key": "Types.LONG()", "record": (1,)}, [], 1, ["keys: does not fit", "the keys are string"]),
    "another uid": ({"uid": "other"}, [], 1,
                    ["Count (uid 'other') is new", "count (uid 'count') is left behind: no operator takes its state"]),
    "left behind": ({"uid": "other"}, ["-n"], 0, ["count (uid 'count') is left behind", "would start"]),
    "max parallelism": ({"set": "env.set_max_parallelism(64)"}, [], 1,
                        ["max parallelism was 128 and is 64: set it to 128"]),
    "function fails": ({"open": "raise OSError('no database')"}, [], 0,
                       ["table/count: not checked: open() raised OSError: no database"]),
    "another state": ({"more": 'runtime_context.get_list_state(ListStateDescriptor("words", Types.LONG()))'}, [], 1,
                      ["table/words: does not fit", "STRING became LONG"]),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_an_upgrade_is_told_before_it_is_made(
    case: str, savepoint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changes, flags, code, texts = CASES[case]
    facts: dict[str, Any] = {**USUAL, **changes}
    job = tmp_path / "job.py"
    job.write_text(JOB.format(**facts))
    assert main(["savepoint", "check", *flags, str(job), savepoint]) == code
    out = capsys.readouterr().out
    for text in texts:
        assert text in out


def test_what_cannot_be_checked_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    job = tmp_path / "job.py"
    job.write_text("")
    assert main(["savepoint", "check", str(job), str(tmp_path / "nowhere")]) == 1
    assert "there is no checkpoint" in capsys.readouterr().err


def test_a_folder_of_savepoints_is_told_from_one(
    savepoint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    job = tmp_path / "job.py"
    job.write_text(JOB.format(**USUAL))
    assert main(["savepoint", "check", str(job), f"{savepoint}/_metadata"]) == 0
    assert main(["savepoint", "check", str(job), str(tmp_path)]) == 1
    assert "it holds saved; give that path" in capsys.readouterr().err
