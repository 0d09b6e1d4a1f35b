# SPDX-License-Identifier: Apache-2.0
import numpy as np
import numpy.typing as npt

def key_groups(hashes: npt.NDArray[np.uint64], max_parallelism: int) -> npt.NDArray[np.int32]: ...
def subtasks(
    hashes: npt.NDArray[np.uint64], max_parallelism: int, parallelism: int
) -> npt.NDArray[np.int32]: ...
def places(
    targets: npt.NDArray[np.int32], count: int
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]: ...
