# SPDX-License-Identifier: Apache-2.0
"""InputFormat."""

from __future__ import annotations

from flinkcore.common.utils import JavaObjectWrapper

__all__ = ["InputFormat"]


class InputFormat(JavaObjectWrapper):
    """PyFlink's handle of a Java InputFormat; UnsupportedOperationError when one is made."""

    instead = "read with from_source and one of flinkcore.datastream.connectors, e.g. FileSource"
