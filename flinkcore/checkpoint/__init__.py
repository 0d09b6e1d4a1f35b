# SPDX-License-Identifier: Apache-2.0
"""Checkpoints: barriers, what is written and where, which one to go back to, and what may be removed."""
