# SPDX-License-Identifier: Apache-2.0
"""When an asynchronous call is tried again (pyflink.datastream.async_retry_predicates)."""

from __future__ import annotations

from typing import Any

__all__ = ["empty_result_predicate", "exception_type_predicate", "has_exception_predicate"]


def empty_result_predicate(result: list[Any]) -> bool:
    """The call gave no results."""
    return result is None or len(result) == 0


def has_exception_predicate(error: Any) -> bool:
    """The call raised."""
    return error is not None


def exception_type_predicate(error: Any, expected_error_type: Any) -> bool:
    """The call raised an error of this class; for functools.partial(..., expected_error_type=...)."""
    return isinstance(error, expected_error_type)
