# SPDX-License-Identifier: Apache-2.0
"""What every test may count on."""

from __future__ import annotations

import os
import signal


def pytest_configure() -> None:
    os.environ["FLINKCORE_CACHE_DIR"] = ""  # tests leave nothing in the user's directories
    # A process started in the background may inherit Ctrl-C ignored, and so would the programs that tests start.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
