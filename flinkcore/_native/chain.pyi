# SPDX-License-Identifier: Apache-2.0
import numpy as np
import numpy.typing as npt

class Chains:
    def __init__(self, timed: bool = False) -> None: ...
    def __len__(self) -> int: ...
    def append(self, ids: npt.NDArray[np.int32], times_ms: npt.NDArray[np.int64] | None = None) -> None: ...
    def match(
        self,
        ids: npt.NDArray[np.int32],
        first: int,
        end: int,
        pairs_max: int,
        times_ms: npt.NDArray[np.int64] | None = None,
        lower_ms: int = 0,
        upper_ms: int = 0,
        after_ms: int = 0,
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], int]: ...

def fail_allocation(nth: int) -> int: ...
