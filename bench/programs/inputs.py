# SPDX-License-Identifier: Apache-2.0
"""The inputs of the programs, as files of lines, and what the programs make of them."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path

import numpy as np

from bench import data

VERSION = 1  # part of the file names: raise it when a file's content changes
EVENTS_PER_MS = 10
WINDOW_MS = 5  # as the example has it
LINES_AT_ONCE = 100_000


@dataclass(frozen=True)
class Program:
    """One example.

    path : in the folder of the examples
    lines : (the example's file, rows) -> the lines of its input
    answer : lines of input -> how often each line of output is there
    replaces_collection : the example has no option for its input: its from_collection is answered with the file
    """

    path: str
    lines: Callable[[Path, int], Iterator[str]]
    answer: Callable[[Iterator[str]], Counter[str]]
    replaces_collection: bool = False

    def input(self, examples: Path, rows: int) -> Path:
        """The file with the input, made when there is none yet."""
        path = data.folder() / f"{Path(self.path).stem}-{rows}-v{VERSION}.txt"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            partial = path.with_suffix(".partial")
            with open(partial, "w") as file:
                lines = self.lines(examples / self.path, rows)
                while some := list(islice(lines, LINES_AT_ONCE)):
                    file.write("\n".join(some) + "\n")
            partial.rename(path)
        return path

    def expected(self, path: Path) -> Counter[str]:
        with open(path) as file:
            return self.answer(line.rstrip("\n") for line in file)


def _text(program: Path, rows: int) -> Iterator[str]:
    """The text that the example counts the words of, again and again."""
    tree = ast.parse(program.read_text())
    found = next(
        node.value
        for node in tree.body
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "word_count_data"
    )
    return islice(cycle(ast.literal_eval(found)), rows)


def _word_counts(lines: Iterator[str]) -> Counter[str]:
    words: Counter[str] = Counter()
    for line in lines:
        words.update(line.split())
    return Counter({f"({word},{count})": 1 for word, count in words.items()})


def _events(program: Path, rows: int) -> Iterator[str]:
    """word,milliseconds: 20 words, ten events each millisecond, so that a window of a word has two or three, as in the
    example."""
    words = np.random.default_rng(data.SEED).integers(0, 20, rows)
    return (f"word{word},{i // EVENTS_PER_MS}" for i, word in enumerate(words.tolist()))


def _window_counts(lines: Iterator[str]) -> Counter[str]:
    counts: Counter[tuple[str, int]] = Counter()
    for line in lines:
        word, _, ms = line.partition(",")
        counts[word, int(ms) // WINDOW_MS * WINDOW_MS] += 1
    return Counter(f"({word},{start},{start + WINDOW_MS},{count})" for (word, start), count in counts.items())


PROGRAMS = {
    "word_count": Program("word_count.py", _text, _word_counts),
    "tumbling_time_window": Program(
        "windowing/tumbling_time_window.py", _events, _window_counts, replaces_collection=True
    ),
}
