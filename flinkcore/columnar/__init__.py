# SPDX-License-Identifier: Apache-2.0
"""Columns, schemas, batches, and how rows of Python values become them and come back."""
