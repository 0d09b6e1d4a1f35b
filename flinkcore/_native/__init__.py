# SPDX-License-Identifier: Apache-2.0
"""Cython bindings of csrc: validate, allocate, release the GIL, call once, check once."""
