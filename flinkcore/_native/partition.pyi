# SPDX-License-Identifier: Apache-2.0
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from flinkcore._native.column import Column

def key_groups(hashes: npt.NDArray[np.uint64], max_parallelism: int) -> npt.NDArray[np.int32]: ...
def subtasks(
    hashes: npt.NDArray[np.uint64], max_parallelism: int, parallelism: int
) -> npt.NDArray[np.int32]: ...
def places(
    targets: npt.NDArray[np.int32], count: int
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]: ...
def key_places(
    keys: Iterable[Column], max_parallelism: int, parallelism: int
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]: ...
