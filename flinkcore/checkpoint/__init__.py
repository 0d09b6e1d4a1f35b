# SPDX-License-Identifier: Apache-2.0
"""Checkpoints and savepoints outside the process: where they lie, what their bytes are, how long they are kept."""
