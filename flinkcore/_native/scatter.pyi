# SPDX-License-Identifier: Apache-2.0
import numpy as np
import numpy.typing as npt
import pyarrow as pa

def order_of(places: npt.NDArray[np.int32]) -> npt.NDArray[np.int64]: ...
def scattered(array: pa.Array, places: npt.NDArray[np.int32]) -> pa.Array: ...
