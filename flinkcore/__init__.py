# SPDX-License-Identifier: Apache-2.0
"""Apache Flink's stateful stream processing for Python, on Arrow columns.

The API carries PyFlink's names: flinkcore.datastream, flinkcore.table, flinkcore.common. This package itself
imports nothing heavy.
"""

__version__ = "0.1.0"
