# SPDX-License-Identifier: Apache-2.0
"""Benchmarks: see README.md in this folder."""
