# SPDX-License-Identifier: Apache-2.0
"""ResultKind: whether a statement's result is more than its success."""

from enum import Enum


class ResultKind(Enum):
    """SUCCESS: the result is "OK"; SUCCESS_WITH_CONTENT: it has rows of its own."""

    SUCCESS = 0
    SUCCESS_WITH_CONTENT = 1
