# SPDX-License-Identifier: Apache-2.0
"""What a job is like to live with, beside its throughput: its memory, its latency, its start."""
