# SPDX-License-Identifier: Apache-2.0
"""One line at the bottom of a terminal that the program's own output never mixes with."""

from __future__ import annotations

import shutil
import sys
import threading
from collections.abc import Callable
from typing import Any, TextIO

ERASE = "\r\x1b[2K"


class Screen:
    """Draws a status line on a terminal; erases it before anything else is written there.

    While it is open, sys.stdout and sys.stderr, where they are terminals, erase the line first. After output
    that does not end in a line break no line is drawn, so that the program's own line stays whole.
    """

    def __init__(self, terminal: TextIO, width: Callable[[], int] | None = None) -> None:
        self._terminal = terminal
        self._width = width or (lambda: shutil.get_terminal_size().columns)
        self._lock = threading.RLock()
        self._shown = False
        self._mid_line = False
        self._before = (sys.stdout, sys.stderr)

    def __enter__(self) -> Screen:
        self._before = (sys.stdout, sys.stderr)
        sys.stdout, sys.stderr = (_Guarded(stream, self) if stream.isatty() else stream
                                  for stream in self._before)
        return self

    def __exit__(self, *failure: object) -> None:
        self.erase()
        sys.stdout, sys.stderr = self._before

    def draw(self, text: str) -> None:
        with self._lock:
            if self._mid_line:
                return
            text = text.replace("\n", " ")
            room = self._width() - 1
            self._terminal.write(ERASE + (text if len(text) <= room else text[: max(0, room - 1)] + "…"))
            self._terminal.flush()
            self._shown = True

    def erase(self) -> None:
        with self._lock:
            if self._shown:
                self._terminal.write(ERASE)
                self._terminal.flush()
                self._shown = False

    def pass_through(self, stream: TextIO, text: str) -> int:
        """Writes the program's own output."""
        with self._lock:
            self.erase()
            written = stream.write(text)
            if text:
                self._mid_line = not text.endswith("\n")
            if self._terminal is not stream:
                stream.flush()              # two streams on one terminal: keep their order
            return written


class _Guarded:
    """A text stream on a terminal that has the screen erase its line first."""

    def __init__(self, stream: TextIO, screen: Screen) -> None:
        self._stream = stream
        self._screen = screen

    def write(self, text: str) -> int:
        return self._screen.pass_through(self._stream, text)

    def writelines(self, lines: Any) -> None:
        self.write("".join(lines))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
