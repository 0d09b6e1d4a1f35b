# SPDX-License-Identifier: Apache-2.0
"""Memory of the machine before something is timed."""

from __future__ import annotations

import numpy as np


def put_in_use(bytes: int) -> None:
    """The next so many bytes that the process takes were in use just before.

    A hypervisor takes memory back that nothing has used for some seconds. Its coming again costs more than most of what
    is timed here, and costs whoever comes first.
    """
    np.ones(bytes, np.uint8)
