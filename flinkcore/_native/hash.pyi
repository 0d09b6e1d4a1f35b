# SPDX-License-Identifier: Apache-2.0
from collections.abc import Iterable
from typing import Final

import numpy as np
import numpy.typing as npt

from flinkcore._native.column import Column

KIND_NAMES: Final[dict[int, str]]

def hash_columns(columns: Iterable[Column]) -> npt.NDArray[np.uint64]: ...
