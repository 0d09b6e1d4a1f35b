# SPDX-License-Identifier: Apache-2.0
"""A pandas DataFrame into partitions by the hash of its keys, as shuffles of dataframes do it, with flinkcore.kernels.

    pip install 'flinkcore[pandas]'
    python examples/pandas_partition.py [--rows 1000000] [--partitions 128]

Dask's shuffle (dask.dataframe.shuffle.shuffle_group) and Ray Data's hash shuffle split a frame like this: hash the key
columns with pandas, sort the rows by hash % partitions, take all columns in that order, and cut. `partition_frame`
gives what they need, a frame in the order of the partitions and where each begins, by flinkcore.kernels.scatter: the
frame's columns are handed over as Arrow, and come back as pandas without a copy.

Prints the time of both and their ratio, having checked that each partition has whole keys and its rows in order.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pandas as pd
import pyarrow as pa
from pandas._libs.algos import groupsort_indexer

from flinkcore.kernels import scatter

Partitioned = tuple[pd.DataFrame, np.ndarray]


def partition_frame(frame: pd.DataFrame, keys: list[str], count: int) -> Partitioned:
    """The rows in the order of their partitions, and int64[count + 1], where partitions begin and end."""
    batch, bounds = scatter(pa.RecordBatch.from_pandas(frame, preserve_index=False), keys, count)
    return batch.to_pandas(split_blocks=True), bounds


def partition_frame_pandas(frame: pd.DataFrame, keys: list[str], count: int) -> Partitioned:
    """The same as Dask does it: shuffle_group and group_split_pandas."""
    targets = pd.util.hash_pandas_object(frame[keys], index=False).to_numpy() % count
    order, counts = groupsort_indexer(targets.astype(np.intp), count)
    return frame.take(order), counts.cumsum()


def some_frame(rows: int) -> pd.DataFrame:
    rng = np.random.default_rng(42)
    users = np.array([f"user-{i}" for i in range(max(1, rows // 100))])
    return pd.DataFrame({"account": rng.integers(0, max(1, rows // 20), rows),
                         "user": users[rng.integers(0, len(users), rows)],
                         "price": rng.random(rows), "number": np.arange(rows)})


def check(frame: pd.DataFrame, keys: list[str], partitioned: Partitioned, count: int) -> None:
    """All rows are there, once; no key is in two partitions; the rows of a partition are in their order."""
    whole, bounds = partitioned
    numbers = whole["number"].to_numpy()
    assert len(bounds) == count + 1 and bounds[0] == 0 and bounds[-1] == len(frame)
    parts = [numbers[start:end] for start, end in pairwise(bounds)]
    assert all((np.diff(part) > 0).all() for part in parts)
    assert (np.sort(numbers) == np.arange(len(frame))).all()
    pd.testing.assert_frame_equal(whole.sort_values("number", ignore_index=True), frame)
    partition = np.repeat(np.arange(count), np.diff(bounds))
    assert (whole.assign(partition=partition).groupby(keys)["partition"].nunique() == 1).all()


def best_seconds(run: Callable[[], object], repeats: int) -> float:
    taken = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        taken.append(time.perf_counter() - start)
    return min(taken)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--partitions", type=int, default=128)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    frame, count = some_frame(options.rows), options.partitions
    for keys in (["account"], ["user"], ["account", "user"]):
        for partition in (partition_frame, partition_frame_pandas):
            check(frame, keys, partition(frame, keys, count), count)
        ours = best_seconds(lambda keys=keys: partition_frame(frame, keys, count), options.repeats)
        theirs = best_seconds(lambda keys=keys: partition_frame_pandas(frame, keys, count), options.repeats)
        print(f"by {', '.join(keys)}: {1e3 * ours:.1f} ms with flinkcore.kernels, {1e3 * theirs:.1f} ms with pandas: "
              f"{theirs / ours:.1f} times as fast")


if __name__ == "__main__":
    main()
