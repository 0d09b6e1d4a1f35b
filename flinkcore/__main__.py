# SPDX-License-Identifier: Apache-2.0
"""`python -m flinkcore` is the `flinkcore` command."""

from __future__ import annotations

import sys

from flinkcore.cli import main

if __name__ == "__main__":
    sys.exit(main())
