# SPDX-License-Identifier: Apache-2.0
"""Keyed state: descriptors, the tables that hold it, and the manager that owns all of one subtask's."""
