# SPDX-License-Identifier: Apache-2.0
"""The hash shuffle of Ray Data with flinkcore.kernels in place of its own partitioner.

    pip install 'flinkcore[examples]'        # Ray 2.60: what is replaced is an internal function
    python examples/ray_partition.py [--rows 1000000] [--partitions 64]

Each map task of a repartition by keys or of a join splits its block with `hash_partition(table, hash_cols=,
num_partitions=)`. `hash_partition` below has the same arguments and the same kind of result. `install()` puts it in its
place: call it in the program that makes the datasets, which sends it to the workers with each task.

Prints the time of both on one block and their ratio, having checked that partitions have whole keys and the same rows.
Starts no cluster.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
import pyarrow as pa

from flinkcore.kernels import scatter


def hash_partition(table: pa.Table, *, hash_cols: list[str], num_partitions: int) -> dict[int, pa.Table]:
    """Partitions of a table by the hash of some columns, without the empty ones; each is a slice of one table."""
    if table.num_rows == 0:
        return {}
    if num_partitions == 1:
        return {0: table}
    batch, bounds = scatter(table, hash_cols, num_partitions)
    ordered = pa.Table.from_batches([batch])
    return {int(p): ordered.slice(bounds[p], bounds[p + 1] - bounds[p]) for p in np.flatnonzero(np.diff(bounds))}


def install() -> None:
    """Have the map tasks of datasets that this process makes use it."""
    from ray.data._internal.execution.operators import hash_shuffle_v2

    assert callable(hash_shuffle_v2.hash_partition), "this Ray splits its blocks elsewhere"
    hash_shuffle_v2.hash_partition = hash_partition


def some_table(rows: int) -> pa.Table:
    rng = np.random.default_rng(42)
    users = pa.array([f"user-{i}" for i in range(max(1, rows // 100))])
    return pa.table({"account": rng.integers(0, max(1, rows // 20), rows),
                     "user": users.take(pa.array(rng.integers(0, len(users), rows))),
                     "price": rng.random(rows), "number": np.arange(rows)})


def check(table: pa.Table, keys: list[str], partitions: dict[int, pa.Table]) -> None:
    """All rows are there, once; no key is in two partitions."""
    whole = pa.concat_tables(partitions.values())
    assert whole.sort_by("number").combine_chunks().equals(table.combine_chunks())
    distinct = sum(part.group_by(keys).aggregate([]).num_rows for part in partitions.values())
    assert distinct == table.group_by(keys).aggregate([]).num_rows


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
    parser.add_argument("--partitions", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()

    from ray.data._internal.arrow_ops.transform_pyarrow import hash_partition as hash_partition_ray

    table = some_table(options.rows)
    install()
    for keys in (["account"], ["user"], ["account", "user"]):
        arguments = {"hash_cols": keys, "num_partitions": options.partitions}
        for partition in (hash_partition, hash_partition_ray):
            check(table, keys, partition(table, **arguments))
        ours = best_seconds(lambda given=arguments: hash_partition(table, **given), options.repeats)
        theirs = best_seconds(lambda given=arguments: hash_partition_ray(table, **given), options.repeats)
        print(f"by {', '.join(keys)}: {1e3 * ours:.1f} ms with flinkcore.kernels, {1e3 * theirs:.1f} ms with Ray's "
              f"own: {theirs / ours:.1f} times as fast")


if __name__ == "__main__":
    main()
