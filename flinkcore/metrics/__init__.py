# SPDX-License-Identifier: Apache-2.0
"""Metrics of operators, with PyFlink's names for what user functions may register.

OperatorMetrics is what the engine itself counts; MetricGroup, Counter, Meter and Distribution are what a
function gets from RuntimeContext.get_metrics_group(). Nothing here imports anything.
"""

from __future__ import annotations

from flinkcore.metrics.metricbase import Counter, Distribution, Meter, Metric, MetricGroup
from flinkcore.metrics.operator import OperatorMetrics

__all__ = ["Counter", "Distribution", "Meter", "Metric", "MetricGroup", "OperatorMetrics"]
