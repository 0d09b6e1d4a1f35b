# SPDX-License-Identifier: Apache-2.0
"""What users get to test their jobs: a harness for one operator with a manual clock, and the seeded simulation."""
