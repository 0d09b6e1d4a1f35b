# SPDX-License-Identifier: Apache-2.0
"""The command line: it runs, saves, compares and prints. Small sizes, no downloads."""

from __future__ import annotations

import json

import pytest

from bench import __main__ as command
from bench.compare import compare
from bench.everything import COMMANDS
from bench.results import Line, Run, Section, load, save, scaled, share


def run_of(*lines: Line) -> Run:
    return Run(
        {"processor": "p", "cores": 2, "python": "3", "load": 0.0},
        "today",
        "abc",
        [Section("W1: x", "", list(lines))],
    )


@pytest.mark.parametrize(
    "value, unit, text",
    [
        (24_100_000, "rows/s", "24.1 M rows/s"),
        (999_600, "rows/s", "1.00 M rows/s"),
        (12, "rows/s", "12.0 rows/s"),
        (0.0031, "s", "3.10 ms"),
        (3.1e-6, "s", "3.10 µs"),
        (61, "s", "61.0 s"),
        (2e9, "B/s", "2.00 GB/s"),
        (0, "rows/s", "0 rows/s"),
        (24_100_000, "", "24.1 M"),
    ],
)
def bench_scaled(value, unit, text):
    assert scaled(value, unit) == text


def bench_share():
    assert [share(part) for part in (0.31, 0.004, 1.2)] == ["31%", "0.4%", "120%"]


def bench_a_saved_run_is_read_again(tmp_path):
    run = run_of(
        Line("a", "rows/s", [1.0, 2.0], limit=3.0, facts={"rows": "5"}), Line("b", "s", [], problem="no")
    )
    save(run, tmp_path / "run.json")
    assert load(tmp_path / "run.json") == run


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": 99}', '{"format": 1, "sections": [{}]}'])
def bench_other_files_are_refused(tmp_path, text):
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(ValueError) as caught:
        load(tmp_path / "run.json")
    assert "run.json" in str(caught.value)


@pytest.mark.parametrize(
    "old, new, more_is_better, ratio, verdict",
    [
        ([100, 101], [100, 101], True, 1.0, ""),
        ([100, 101], [109, 110], True, 1.09, "BETTER"),
        ([100, 101], [90, 91], True, 0.9, "WORSE"),
        ([100, 101], [90, 91], False, 1.11, "BETTER"),
        ([100, 130], [90, 91], True, 0.787, ""),  # the old run was that noisy
        ([100, 130], [80, 81], True, 0.7, "WORSE"),
        ([100], [50, 51], True, 0.505, "?"),  # one run shows no noise
    ],
)
def bench_a_change_counts_when_it_is_beyond_the_noise(old, new, more_is_better, ratio, verdict):
    runs = [run_of(Line("a", "s", values, more_is_better)) for values in (old, new)]
    (change,), remarks = compare(*runs)
    assert change.ratio == pytest.approx(ratio, rel=0.01)
    assert (change.verdict, remarks) == (verdict, [])


def bench_what_does_not_compare_is_said():
    sizes = [run_of(Line("a", "s", [1.0], facts={"rows": rows})) for rows in ("10", "20")]
    assert compare(*sizes) == ([], ["W1, a: the two ran at different sizes"])
    old = run_of(Line("a", "s", [1.0]), Line("b", "s", [], problem="broke"), Line("c", "s", [1.0]))
    new = run_of(Line("b", "s", [1.0]), Line("c", "B", [1.0]), Line("d", "s", [1.0]))
    new.machine = {**new.machine, "cores": 4}
    changes, remarks = compare(old, new)
    assert changes == []
    assert "broke" in remarks[0] and "two kinds" in remarks[1]
    assert [remark.split(":")[0] for remark in remarks[2:]] == [
        "1 lines are only in the old run",
        "1 lines are only in the new run",
        "OTHER MACHINE",
    ]


def bench_limits_command(tmp_path, capsys):
    path = tmp_path / "limits.json"
    arguments = ["limits", "map", "group_by:100", "--rows", "2000", "--threads", "1", "--repetitions", "2"]
    assert command.main([*arguments, "--json", str(path)]) == 0
    (section,) = json.loads(path.read_text())["sections"]
    assert section["command"] == " ".join(arguments)
    assert [line["name"] for line in section["lines"]] == [
        "map, 1 thread",
        "group_by:100, 1 thread",
    ]
    assert command.main([*arguments, "--against", str(path)]) == 0
    printed = capsys.readouterr().out
    assert "group_by:100, 1 thread" in printed and f"against {path}" in printed
    assert command.main(["compare", str(path), str(path)]) == 0


def bench_kernels_command(capsys):
    assert command.main(["kernels", "--small", "bench_pane_starts", "bench_hash_columns"]) == 0
    printed = capsys.readouterr().out
    assert "pane_starts[60000]" in printed and "(read)" in printed


def bench_a_benchmark_that_is_not_there(capsys):
    assert command.main(["kernels", "--small", "no_such_benchmark"]) == 2
    assert "no benchmark of kernels" in capsys.readouterr().err


def bench_peers_command(capsys):
    arguments = ["peers", "--here", "--engines", "flinkcore,pathway", "--jobs", "W5", "--rows", "2000"]
    assert command.main([*arguments, "--repetitions", "2", "--warmups", "0", "--threads", "1"]) == 0
    printed = capsys.readouterr().out
    assert "flinkcore, 1 thread" in printed and "(filter)" in printed
    assert "pathway is left out: pathway is not installed" in printed


def bench_peers_command_knows_its_names(capsys):
    assert command.main(["peers", "--engines", "flonk"]) == 2
    assert "'flonk' is not one of flinkcore" in capsys.readouterr().err


def bench_all_commands_are_there():
    assert {
        name: where for name, (where, _) in command.MEASURES.items() if name not in ("all", "jobs")
    } == COMMANDS
    for name in [*command.MEASURES, *command.PLAIN]:
        _, module = command.parser_of([name])
        assert hasattr(module, "add_arguments")
        assert hasattr(module, "main" if name in command.PLAIN else "run")


def bench_report_command(tmp_path, capsys):
    lines = [Line("a|b", "rows/s", [24e6, 25e6], limit=77e6, limit_name="tumbling", facts={"rows": "10"})]
    first = run_of(*lines, Line("c", "rows/s", [], problem="failed: no"))
    second = run_of(Line("d", "s", [0.1]))
    for name, run in (("1.json", first), ("2.json", second)):
        save(run, tmp_path / name)
    assert command.main(["report", str(tmp_path / "1.json"), str(tmp_path / "2.json")]) == 0
    text = capsys.readouterr().out
    assert "python -m bench report 1.json 2.json > docs/benchmarks.md" in text
    assert "| a\\|b | 24.5 M rows/s | 24.0 M - 25.0 M | 10 | 32% of 77.0 M rows/s (tumbling) |" in text
    assert "| c | failed: no |  |  |  |" in text
    assert text.count("## Run of") == 1 and "| d | 100 ms | one run |" in text
    assert command.main(["report", str(tmp_path / "missing.json")]) == 2
