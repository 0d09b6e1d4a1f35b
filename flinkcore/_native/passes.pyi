# SPDX-License-Identifier: Apache-2.0
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from flinkcore._native.column import Column

OPS: dict[str, int]
VALUES: int
BITS: int
VALIDITY: int
I64: str
F64: str
MASK: str

class Pass:
    def __init__(
        self,
        steps: list[tuple[int, int, int, int, int]],
        inputs: list[tuple[int, int, int]],
        constants: list[tuple[int, Any, str]],
        outputs: list[tuple[int, str]],
        registers: int,
    ) -> None: ...
    def run(
        self,
        columns: Sequence[Column | None],
        n: int,
        mask: npt.NDArray[np.uint8] | None = None,
        count: int = -1,
    ) -> list[npt.NDArray[Any]] | None: ...

def mask_rows(mask: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]: ...
def mask_words(
    values: npt.NDArray[np.int64], mask: npt.NDArray[np.uint8], count: int, plain: bool = False
) -> npt.NDArray[np.int64]: ...
