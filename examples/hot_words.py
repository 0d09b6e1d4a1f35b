# SPDX-License-Identifier: Apache-2.0
"""Hot words: which words of a text are the most frequent, shown as that changes.

    flinkcore run examples/hot_words.py                          # the texts in examples/data/texts
    flinkcore run examples/hot_words.py /var/log book.txt.gz     # any text files and folders

Lines become words and words become counts on columns; only what changes a count reaches the ranking, whose
few words are the state of one Python function.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from flinkcore.common import Configuration, Row, RowKind, Types
from flinkcore.datastream import KeyedProcessFunction, RuntimeContext, StreamExecutionEnvironment
from flinkcore.datastream.state import ValueStateDescriptor
from flinkcore.table.expressions import col, lit

TEXTS = Path(__file__).parent / "data" / "texts"
END_OF_TIME = 2**63 - 1


def words(lines: pa.RecordBatch) -> pa.RecordBatch:
    """The words of some lines, in lower case: letters, with apostrophes inside."""
    text = pc.replace_substring_regex(pc.utf8_lower(lines.column(0)), r"[^\p{L}']+", " ")
    word = pc.utf8_trim(pc.list_flatten(pc.split_pattern(text, " ")), "'")
    return pa.record_batch({"word": word})


class Ranking(KeyedProcessFunction):
    """The most frequent words, told again after `every` words and a tenth of all so far, if in a new order.

    Counts only grow, so the words that are on top now are all it takes to know those on top later.
    """

    def __init__(self, top: int, every: int) -> None:
        self.top = top
        self.every = every

    def open(self, runtime_context: RuntimeContext) -> None:
        self.state = runtime_context.get_state(ValueStateDescriptor("ranking", Types.PICKLED_BYTE_ARRAY()))

    def process_element(self, change: Row, ctx: KeyedProcessFunction.Context):
        ranking = self.state.value()
        if ranking is None:
            ranking = {"words": 0, "told_at": 0, "told": [], "counts": {}}
            ctx.timer_service().register_event_time_timer(END_OF_TIME)     # when a bounded text ends
        if change.get_row_kind() == RowKind.UPDATE_BEFORE:
            ranking["words"] -= change["count"]
        else:
            ranking["words"] += change["count"]
            counts = ranking["counts"]
            counts[change["word"]] = change["count"]
            if len(counts) > self.top:
                del counts[max(counts, key=lambda word: (-counts[word], word))]
            if ranking["words"] >= ranking["told_at"] * 1.1 + self.every:
                yield from self.tell(ranking, only_news=True)
        self.state.update(ranking)

    def on_timer(self, timestamp: int, ctx: KeyedProcessFunction.OnTimerContext):
        yield from self.tell(self.state.value(), only_news=False)

    def tell(self, ranking: dict, only_news: bool):
        counts = ranking["counts"]
        order = sorted(counts, key=lambda word: (-counts[word], word))
        ranking["told_at"] = ranking["words"]
        if order != ranking["told"] or not only_news:
            ranking["told"] = order
            yield f"{ranking['words']:>9,} words: " + ", ".join(f"{word} {counts[word]}" for word in order)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("paths", nargs="*", help="text files, folders or globs")
    parser.add_argument("--top", type=int, default=8, help="how many words to show")
    parser.add_argument("--letters", type=int, default=5, help="only words of at least so many letters")
    parser.add_argument("--every", type=int, default=200, help="look at the order after so many words")
    parser.add_argument("--batch-lines", type=int, help="lines counted at once; more is faster")
    parser.add_argument("--checkpoints", default=Path(tempfile.gettempdir(), "hot-words").as_uri())
    options = parser.parse_args()
    paths = options.paths or [str(TEXTS)]
    batch_lines = options.batch_lines or (5_000 if options.paths else 50)

    config = Configuration()
    config.set_string("execution.checkpointing.interval", "10 s")
    config.set_string("execution.checkpointing.dir", options.checkpoints)
    config.set_integer("flinkcore.batch-rows", batch_lines)
    env = StreamExecutionEnvironment.get_execution_environment(config)

    first, *others = [env.read_text_file(path) for path in paths]
    (first.union(*others)
        .map_batches(words)
        .filter(col("word").char_length >= options.letters)
        .key_by("word")
        .aggregate(lit(1).count.alias("count"), emit="batch")
        .key_by(lambda change: 0)
        .process(Ranking(options.top, options.every), Types.STRING())
        .set_parallelism(1)
        .print().set_parallelism(1))
    env.execute("hot words")


if __name__ == "__main__":
    main()
