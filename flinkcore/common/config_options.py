# SPDX-License-Identifier: Apache-2.0
"""ConfigOption and its builder ConfigOptions."""

from __future__ import annotations

from flinkcore.config import ConfigOption, ConfigOptions

__all__ = ["ConfigOption", "ConfigOptions"]
