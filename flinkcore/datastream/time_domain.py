# SPDX-License-Identifier: Apache-2.0
"""The two kinds of time (PyFlink: pyflink.datastream.time_domain)."""

from __future__ import annotations

from flinkcore.time.domain import TimeDomain

__all__ = ["TimeDomain"]
