# SPDX-License-Identifier: Apache-2.0
"""The errors of py4j.protocol for programs that catch them around execute(), where py4j is not installed.

A job that fails raises JobExecutionError, whose text has the user's own traceback as Py4JJavaError's has in PyFlink.
"""

from __future__ import annotations

from flinkcore.errors import FlinkcoreError, JobExecutionError

Py4JError = FlinkcoreError
Py4JJavaError = JobExecutionError
Py4JNetworkError = ConnectionError
