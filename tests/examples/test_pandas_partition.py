# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pandas as pd
import pytest


def test_it_prints_a_ratio_for_each_choice_of_keys(example) -> None:
    lines = example("pandas_partition.py", "--rows", "5000", "--partitions", "7", "--repeats", "1")
    assert [line.split(":")[0] for line in lines] == ["by account", "by user", "by account, user"]
    assert all(line.endswith("times as fast") for line in lines)


@pytest.mark.parametrize("rows, count", [(0, 3), (1, 1), (1000, 1), (1000, 16)])
def test_both_ways_give_whole_keys_and_rows_in_order(source_of, rows: int, count: int) -> None:
    module = source_of("pandas_partition.py")
    frame = module.some_frame(rows)
    for partition in (module.partition_frame, module.partition_frame_pandas):
        module.check(frame, ["account"], partition(frame, ["account"], count), count)


def test_the_check_sees_a_key_in_two_partitions_and_a_row_that_is_lost(source_of) -> None:
    module = source_of("pandas_partition.py")
    frame = pd.DataFrame({"account": [1, 1], "number": [0, 1]})
    with pytest.raises(AssertionError):
        module.check(frame, ["account"], (frame, np.array([0, 1, 2])), 2)
    with pytest.raises(AssertionError):
        module.check(frame, ["account"], (frame[:1], np.array([0, 1])), 1)
