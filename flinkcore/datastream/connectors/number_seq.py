# SPDX-License-Identifier: Apache-2.0
"""A source of numbers (pyflink.datastream.connectors.number_seq)."""

from flinkcore.connectors.sequence import NumberSequenceSource

__all__ = ["NumberSequenceSource"]
