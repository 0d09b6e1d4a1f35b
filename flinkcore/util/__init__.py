# SPDX-License-Identifier: Apache-2.0
"""What PyFlink keeps in pyflink.util."""
