# SPDX-License-Identifier: Apache-2.0
"""Ray is in the extra `examples`, not among what the tests install."""

from __future__ import annotations

import pyarrow as pa
import pytest


def test_partitions_are_those_of_its_keys_and_none_is_empty(source_of) -> None:
    module = source_of("ray_partition.py")                         # which imports Ray only to compare with it
    table = module.some_table(1000)
    for count in (1, 2, 64, 5000):
        partitions = module.hash_partition(table, hash_cols=["account", "user"], num_partitions=count)
        assert set(partitions) <= set(range(count))
        assert all(part.num_rows for part in partitions.values())
        module.check(table, ["account", "user"], partitions)
    assert module.hash_partition(table.slice(0, 0), hash_cols=["account"], num_partitions=2) == {}
    chunked = pa.concat_tables([table.slice(0, 300), table.slice(300)])
    module.check(table, ["user"], module.hash_partition(chunked, hash_cols=["user"], num_partitions=5))


def test_it_replaces_rays_own_and_prints_a_ratio(example) -> None:
    pytest.importorskip("ray.data", reason="Ray is not installed: pip install 'flinkcore[examples]'")
    lines = example("ray_partition.py", "--rows", "5000", "--partitions", "7", "--repeats", "1")
    assert [line.split(":")[0] for line in lines[-3:]] == ["by account", "by user", "by account, user"]
