# SPDX-License-Identifier: Apache-2.0
"""TypeSerializer: how a window of one's own is written and read back."""

from __future__ import annotations

from abc import ABC, abstractmethod
from io import BytesIO
from typing import Generic, TypeVar

T = TypeVar("T")

__all__ = ["TypeSerializer"]


class TypeSerializer(ABC, Generic[T]):
    """Writes values to bytes and reads them back; a WindowAssigner names one for its windows."""

    @abstractmethod
    def serialize(self, element: T, stream: BytesIO) -> None:
        """Write a value to the stream."""

    @abstractmethod
    def deserialize(self, stream: BytesIO) -> T:
        """Read a value from the stream."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, type(self)) and self.__dict__ == other.__dict__

    def __hash__(self) -> int:
        return hash(type(self))

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class VoidNamespaceSerializer(TypeSerializer[bytes]):
    """For state that belongs to no window: nothing is written."""

    def serialize(self, element: bytes, stream: BytesIO) -> None:
        return

    def deserialize(self, stream: BytesIO) -> bytes:
        return b""
