# SPDX-License-Identifier: Apache-2.0
import numpy as np
import numpy.typing as npt

class DistinctIds:
    def first_rows(self, ids: npt.NDArray[np.int32]) -> npt.NDArray[np.int64]: ...
