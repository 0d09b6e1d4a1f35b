# SPDX-License-Identifier: Apache-2.0
"""What connectors share (pyflink.datastream.connectors.base).

Source and Sink are the engine's own interfaces: a subclass in Python is a connector, which PyFlink leaves to
Java.
"""

from enum import Enum

from flinkcore.connectors.base import Sink, Source

__all__ = ["DeliveryGuarantee", "Sink", "Source"]


class DeliveryGuarantee(Enum):
    """What a sink promises about records when the job fails and starts again.

    EXACTLY_ONCE : each is delivered once;  AT_LEAST_ONCE : none is lost, some may come twice;  NONE : nothing
    """

    EXACTLY_ONCE = 0
    AT_LEAST_ONCE = 1
    NONE = 2
