# SPDX-License-Identifier: Apache-2.0
"""Formats of files with PyFlink's names (pyflink.datastream.formats)."""
