# SPDX-License-Identifier: Apache-2.0
"""Operators: each says what happens to a batch; kernels do it, state remembers it, the runtime decides when."""
