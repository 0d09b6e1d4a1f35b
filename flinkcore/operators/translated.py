# SPDX-License-Identifier: Apache-2.0
"""Functions of the user on columns where they can be: translated, with Python for the batches that need it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from flinkcore import options
from flinkcore.columnar.batch import Batch
from flinkcore.config import Configuration
from flinkcore.expr.patience import Patience
from flinkcore.expr.translate import NotTranslated, Translation, Unequal
from flinkcore.metrics.operator import OperatorMetrics
from flinkcore.operators.base import OperatorDescription

T = TypeVar("T")

# Fewer rows are done sooner by calling the function than by calling NumPy.
ROWS_MIN = 8


class Translated:
    """A function's translation, while it pays to ask it.

    reason : why there is none, in words that follow "is called for each record"; None when there is one
    """

    def __init__(self, translate: Callable[[], Translation], config: Configuration | None = None) -> None:
        """config : of the job, which may say that nothing is translated"""
        self.translation: Translation | None = None
        self.reason: str | None = None
        self._patience = Patience()
        if config is not None and not config.get(options.TRANSLATE_FUNCTIONS):
            self.reason = f"{options.TRANSLATE_FUNCTIONS.key} is false"
            return
        try:
            self.translation = translate()
        except NotTranslated as reason:
            self.reason = str(reason)

    def describe(self, name: str) -> OperatorDescription:
        """How an operator of this function runs."""
        if self.translation is None:
            return OperatorDescription(False, name, f"{name} is called for each record: {self.reason}")
        return OperatorDescription(True, f"{self.translation.text}, as columns")

    def ready(self, batch: Batch) -> bool:
        """Whether a batch may be part of a pass."""
        return batch.num_rows >= ROWS_MIN and self.translation is not None and self.translation.ready(batch)

    def ask(self, batch: Batch, metrics: OperatorMetrics, answer: Callable[[Translation, Batch], T]) -> T | None:
        """The answer for a batch; None when Python has to be asked, which is counted as rows_by_python."""
        if self.translation is None:
            return None
        if batch.num_rows >= ROWS_MIN and self._patience.tries():
            try:
                found = answer(self.translation, batch)
                self._patience.told(True)
                return found
            except Unequal:
                self._patience.told(False)
        metrics.count("rows_by_python", batch.num_rows)
        return None
