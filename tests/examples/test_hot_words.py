# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import gzip
import re
from collections import Counter
from pathlib import Path

TEXTS = Path(__file__).parents[2] / "examples" / "data" / "texts"


def counted(text: str, letters: int) -> Counter[str]:
    """What the example counts, the slow way."""
    words = (word.strip("'") for word in re.sub(r"[^a-z']+", " ", text.lower()).split(" "))
    return Counter(word for word in words if len(word) >= letters)


def told(counts: Counter[str], top: int) -> str:
    best = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:top]
    return f"{sum(counts.values()):,} words: " + ", ".join(f"{word} {count}" for word, count in best)


def test_the_last_line_is_the_ranking_of_the_whole_text(example) -> None:
    lines = example("hot_words.py")
    text = "\n".join(path.read_text() for path in sorted(TEXTS.glob("*.txt")))
    assert lines[-1].strip() == told(counted(text, 5), 8)
    assert len(lines) > 3
    assert [line.split(": ")[1] for line in lines] != [lines[-1].split(": ")[1]] * len(lines)


def test_the_cut_into_batches_does_not_change_the_last_line(example) -> None:
    lasts = {example("hot_words.py", "--batch-lines", str(lines))[-1] for lines in (1, 7, 100_000)}
    assert len(lasts) == 1


def test_it_takes_files_and_folders_compressed_or_not(example, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "one.txt").write_text("Storm and storm\nSTORM! winds\n")
    (folder / "two.txt.gz").write_bytes(gzip.compress(b"winds; winds, winds.\n"))
    (tmp_path / "three.txt").write_text("storm\n")
    lines = example("hot_words.py", "--top", "2", str(folder), str(tmp_path / "three.txt"))
    assert lines[-1].strip() == "8 words: storm 4, winds 4"


def test_an_empty_text_has_no_words(example, tmp_path: Path) -> None:
    (tmp_path / "empty.txt").write_text("")
    assert example("hot_words.py", str(tmp_path / "empty.txt")) == []
