# SPDX-License-Identifier: Apache-2.0
"""Patience: how often to try a fast way that often has no answer."""

from __future__ import annotations

PATIENCE_MAX = 256


class Patience:
    """What could not be done for one batch, for whatever it holds, often cannot be done for those that follow: it is
    not tried again for a number of batches that doubles each time, up to PATIENCE_MAX."""

    def __init__(self) -> None:
        self._skip = self._last = 0

    def tries(self) -> bool:
        """Whether to try it with the next batch."""
        if self._skip:
            self._skip -= 1
            return False
        return True

    def told(self, answered: bool) -> None:
        """How the try went."""
        self._skip = self._last = 0 if answered else min(PATIENCE_MAX, 2 * self._last + 1)
