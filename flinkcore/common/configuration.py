# SPDX-License-Identifier: Apache-2.0
"""Configuration: options of a job and of the engine, under Flink's keys."""

from __future__ import annotations

from flinkcore.config import Configuration

__all__ = ["Configuration"]
