# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import io
import sys

import pytest

from flinkcore.cli.screen import ERASE, Screen


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def on_the_screen(written: str) -> list[str]:
    """What a terminal shows after these characters, line by line."""
    lines = [""]
    i = 0
    while i < len(written):
        if written.startswith(ERASE, i):
            lines[-1] = ""
            i += len(ERASE)
        elif written[i] == "\n":
            lines.append("")
            i += 1
        else:
            lines[-1] += written[i]
            i += 1
    return lines


def attached(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """A terminal that takes both streams of this process."""
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setattr(sys, "stderr", terminal)
    return terminal


def test_what_the_program_prints_never_mixes_with_the_status_line(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = attached(monkeypatch)
    with Screen(terminal, width=lambda: 40) as screen:
        screen.draw("in 10")
        print("first")
        screen.draw("in 20")
        print("second", file=sys.stderr)
        screen.draw("in 30")
        assert on_the_screen(terminal.getvalue()) == ["first", "second", "in 30"]
    assert on_the_screen(terminal.getvalue()) == ["first", "second", ""]


def test_a_line_of_the_program_without_its_end_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = attached(monkeypatch)
    with Screen(terminal, width=lambda: 40) as screen:
        print("thinking ... ", end="")
        screen.draw("in 10")
        print("done")
        screen.draw("in 20")
    assert on_the_screen(terminal.getvalue()) == ["thinking ... done", ""]


def test_the_status_line_fits_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = attached(monkeypatch)
    with Screen(terminal, width=lambda: 10) as screen:
        screen.draw("in 10\nout 20 busy")
        assert on_the_screen(terminal.getvalue()) == ["in 10 ou…"]


def test_a_stream_that_is_no_terminal_is_not_touched(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal, file = Terminal(), io.StringIO()
    monkeypatch.setattr(sys, "stdout", file)
    monkeypatch.setattr(sys, "stderr", terminal)
    with Screen(terminal, width=lambda: 40) as screen:
        screen.draw("in 10")
        print("to the file")
        assert sys.stdout is file
    assert file.getvalue() == "to the file\n"
    assert sys.stderr is terminal
