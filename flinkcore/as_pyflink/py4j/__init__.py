# SPDX-License-Identifier: Apache-2.0
"""What stands for py4j where it is not installed: see flinkcore.as_pyflink.py4j.protocol."""
