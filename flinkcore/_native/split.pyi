# SPDX-License-Identifier: Apache-2.0
import numpy as np
import numpy.typing as npt

from flinkcore._native.column import Column

def split(texts: Column, separator: bytes | None) -> tuple[Column, npt.NDArray[np.int64]]: ...
