# SPDX-License-Identifier: Apache-2.0
"""JavaObjectWrapper, and what is said to a program that wants an object of Java's."""

from __future__ import annotations

from typing import Any, NoReturn

from flinkcore.errors import UnsupportedOperationError

__all__ = ["JavaObjectWrapper"]


def no_java_object(name: str, instead: str) -> NoReturn:
    """UnsupportedOperationError: `name` wants or gives an object of Java's, and there is no JVM."""
    raise UnsupportedOperationError(f"{name} has no Java object: flinkcore runs without a JVM; {instead}")


class JavaObjectWrapper:
    """What PyFlink's handles of Java objects are. UnsupportedOperationError: there is no JVM to have them in.

    Subclasses exist so that programs can import them; `instead` says what to use.
    """

    instead = "use what flinkcore has in Python"

    def __init__(self, j_object: Any) -> None:
        self._refuse()

    def get_java_object(self) -> Any:
        self._refuse()

    def _refuse(self) -> NoReturn:
        no_java_object(type(self).__name__, self.instead)
