# SPDX-License-Identifier: Apache-2.0
"""Connectors with PyFlink's names (pyflink.datastream.connectors)."""

from flinkcore.datastream.connectors.base import DeliveryGuarantee, Sink, Source

__all__ = ["DeliveryGuarantee", "Sink", "Source"]
