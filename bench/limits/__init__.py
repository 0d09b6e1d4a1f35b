# SPDX-License-Identifier: Apache-2.0
"""What this machine can do: bare kernels of our own (bare.c), which the engine's kernels and jobs are held against."""
