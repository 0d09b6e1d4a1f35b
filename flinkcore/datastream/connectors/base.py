# SPDX-License-Identifier: Apache-2.0
"""What connectors share (pyflink.datastream.connectors.base).

Source and Sink are the engine's own interfaces: a subclass in Python is a connector, which PyFlink leaves to
Java.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from enum import Enum
from typing import TYPE_CHECKING

from flinkcore.connectors.base import Sink, Source

if TYPE_CHECKING:
    from flinkcore.datastream.data_stream import DataStream

__all__ = ["DeliveryGuarantee", "Sink", "Source", "StreamTransformer", "SupportsPreprocessing"]


class DeliveryGuarantee(Enum):
    """What a sink promises about records when the job fails and starts again.

    EXACTLY_ONCE : each is delivered once;  AT_LEAST_ONCE : none is lost, some may come twice;  NONE : nothing
    """

    EXACTLY_ONCE = 0
    AT_LEAST_ONCE = 1
    NONE = 2


class StreamTransformer(ABC):
    """What a sink does to a stream before it is written."""

    @abstractmethod
    def apply(self, ds: DataStream) -> DataStream:
        """The stream that the sink gets."""


class SupportsPreprocessing(ABC):
    """A sink with a StreamTransformer; DataStream.sink_to applies it."""

    @abstractmethod
    def get_transformer(self) -> StreamTransformer | None:
        """The transformer; None when the stream is written as it is."""
