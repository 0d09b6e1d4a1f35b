# SPDX-License-Identifier: Apache-2.0
"""PyFlink's own DataStream examples run under `flinkcore run`, unmodified, with the output that Flink gave.

The programs are those of the apache-flink 2.3.0 wheel, which .ci/run fetches; their output on Flink 2.3.0 with two
cores is recorded in tests/golden/pyflink_examples.
"""

from __future__ import annotations

import os
import re
import zipfile
from collections import defaultdict
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Shell

GOLDEN = Path(__file__).parents[1] / "golden" / "pyflink_examples"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "flinkcore" / "apache-flink"

#: How the output of a program with an end is compared. "exact": as it is; "sorted": the same lines in any order;
#: "noprefix": sorted, without the number of the subtask that printed a line.
EXAMPLES = {
    "basic_operations": "exact",
    "event_time_timer": "noprefix",
    "process_json_data": "noprefix",
    "state_access": "noprefix",
    "word_count": "sorted",
    "windowing/session_with_dynamic_gap_window": "exact",
    "windowing/session_with_gap_window": "exact",
    "windowing/sliding_time_window": "exact",
    "windowing/tumbling_count_window": "exact",
    "windowing/tumbling_time_window": "exact",
}


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the examples."""
    folder = Path(os.environ.get("FLINKCORE_APACHE_FLINK") or CACHE)
    wheels = sorted(folder.glob("apache_flink-2.3.0-*.whl"))
    if not wheels:
        pytest.skip(
            f"no wheel of apache-flink 2.3.0 in {folder}; .ci/run fetches it: "
            f"pip download --no-deps --only-binary :all: --dest {folder} apache-flink==2.3.0"
        )
    target = tmp_path_factory.mktemp("apache-flink")
    with zipfile.ZipFile(wheels[0]) as wheel:
        wheel.extractall(target, [name for name in wheel.namelist() if name.startswith("pyflink/examples/")])
    return target / "pyflink" / "examples"


def without_prefix(line: str) -> str:
    return re.sub(r"^\d+> ", "", line)


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_output_is_flinks(shell: Shell, examples: Path, name: str) -> None:
    done = shell.flinkcore("run", "-D", "parallelism.default=2", str(examples / "datastream" / f"{name}.py"))
    assert done.returncode == 0, done.stderr
    text = (GOLDEN / f"datastream_{name.replace('/', '_')}.txt").read_text()
    lines, expected = done.stdout.splitlines(), text.splitlines()
    if EXAMPLES[name] == "noprefix":
        lines, expected = list(map(without_prefix, lines)), list(map(without_prefix, expected))
    if EXAMPLES[name] != "exact":
        lines.sort()
        expected.sort()
    assert lines == expected


def first_lines(shell: Shell, program: Path, count: int) -> list[str]:
    """What a program that never ends prints at first."""
    process = shell.start("run", "-D", "parallelism.default=2", "--quiet", str(program), stdout=-1, stderr=-3)
    assert process.stdout is not None
    try:
        return [line.decode().rstrip("\n") for line in islice(process.stdout, count)]
    finally:
        process.kill()
        process.communicate()


TOLD = "Printing result to stdout. Use --output to specify output path."


def check_counts(lines: list[str]) -> None:
    """Words and how often each was seen so far, after the first line."""
    assert lines[0] == TOLD
    counts: dict[str, list[int]] = defaultdict(list)
    for line in lines[1:]:
        found = re.fullmatch(r"[12]> \((\w+),(\d+)\)", line)
        assert found is not None, line
        counts[found[1]].append(int(found[2]))
    assert all(each == list(range(1, len(each) + 1)) for each in counts.values())


def check_answers(lines: list[str]) -> None:
    """What the model said to random users and comments, after the first line."""
    assert lines[0] == TOLD
    answer = re.compile(r'[12]> {"user_id": -?\d+, "comments": "[0-9a-f]{100}", "analysis_result": "positive"}')
    assert [line for line in lines[1:] if not answer.fullmatch(line)] == []


@pytest.mark.parametrize(
    "name, check", [("streaming_word_count", check_counts), ("asyncio/remote_model_inference", check_answers)]
)
def test_the_output_of_a_stream_that_never_ends_has_the_form_of_flinks(
    shell: Shell, examples: Path, name: str, check: Callable[[list[str]], None]
) -> None:
    recorded = (GOLDEN / f"datastream_{name.replace('/', '_')}.txt").read_text().splitlines()
    check(recorded)
    check(first_lines(shell, examples / "datastream" / f"{name}.py", len(recorded)))
