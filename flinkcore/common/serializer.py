# SPDX-License-Identifier: Apache-2.0
"""TypeSerializer: how a window of one's own is written and read back (PyFlink: pyflink.common.serializer)."""

from __future__ import annotations

from io import BytesIO

from flinkcore.state.serializer import TypeSerializer

__all__ = ["TypeSerializer"]


class VoidNamespaceSerializer(TypeSerializer[bytes]):
    """For state that belongs to no window: nothing is written."""

    def serialize(self, element: bytes, stream: BytesIO) -> None:
        return

    def deserialize(self, stream: BytesIO) -> bytes:
        return b""
