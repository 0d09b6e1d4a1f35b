# SPDX-License-Identifier: Apache-2.0
"""Functions without a declared result run on columns where they can be read, with the results that Python gives."""

from __future__ import annotations

import pytest

from flinkcore.common import Configuration, Types
from flinkcore.datastream import RuntimeExecutionMode, StreamExecutionEnvironment

LINES = ["to be or not to be", "", "  that is  the question ", "be 7 or 8"] * 40


def environment(translate: bool, batch: bool = False) -> StreamExecutionEnvironment:
    env = StreamExecutionEnvironment.get_execution_environment(
        Configuration.from_dict({"flinkcore.functions.translate": str(translate).lower()})
    )
    env.set_parallelism(2)
    if batch:
        env.set_runtime_mode(RuntimeExecutionMode.BATCH)
    return env


def split(line):
    yield from line.split()


def plain(env):
    return env.from_collection(LINES)


def words(env):
    return env.from_collection(LINES, Types.STRING()).flat_map(split)


PROGRAMS = {
    "words": words,
    "a collection of texts": lambda env: plain(env).map(lambda line: line.upper()),
    "a collection of numbers": lambda env: env.from_collection([1, 2, 2**62, -5] * 9).map(lambda n: n * 2),
    "a collection of large numbers": lambda env: env.from_collection([1, 2**64] * 9).map(lambda n: n * 2),
    "a collection of numbers and truths": lambda env: env.from_collection([1, True, 0] * 9).map(lambda n: n + 1),
    "lengths": lambda env: words(env).map(len).filter(lambda n: n > 2),
    "large numbers": lambda env: words(env).map(lambda word: len(word) * 2**62),
    "a function that cannot be read between": lambda env: (
        words(env).map(lambda word: word + "!").map(lambda word: word[::-1]).map(lambda word: word.upper())
    ),
    "one of several types": lambda env: words(env).map(lambda word: word if len(word) > 2 else len(word)),
    "objects of two types": lambda env: words(env).map(len).union(words(env)).filter(lambda value: value == value),
    "numbers and texts": lambda env: words(env).map(len).union(words(env)).map(lambda value: value * 2),
    "counts": lambda env: (
        words(env)
        .map(lambda word: (word, 1), Types.TUPLE([Types.STRING(), Types.INT()]))
        .key_by(lambda pair: pair[0])
        .reduce(lambda a, b: (a[0], a[1] + b[1]))
    ),
    "keys of numbers": lambda env: (
        words(env)
        .map(lambda word: (len(word), 1.5), Types.TUPLE([Types.INT(), Types.DOUBLE()]))
        .key_by(lambda pair: pair[0] * 0.5 if pair[0] > 2 else 0.25)
        .reduce(lambda a, b: (a[0], a[1] + b[1]))
    ),
    "keys of objects": lambda env: words(env).key_by(lambda word: word).reduce(lambda a, b: a + b[:1]),
}


@pytest.mark.parametrize("batch", [False, True])
@pytest.mark.parametrize("name", PROGRAMS)
def test_the_results_are_pythons(name, batch):
    def results(translate):
        with PROGRAMS[name](environment(translate, batch)).execute_and_collect() as found:
            return sorted(repr(value) for value in found)

    assert results(True) == results(False)
    assert results(True)


def test_they_are_columns_with_the_type_of_objects():
    stream = words(environment(True)).map(lambda word: word.upper())
    assert str(stream.get_type()) == str(Types.PICKLED_BYTE_ARRAY())
    factory = stream._transformation.factory
    assert factory is not None and factory().describe().native
