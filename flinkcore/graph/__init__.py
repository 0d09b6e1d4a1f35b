# SPDX-License-Identifier: Apache-2.0
"""What the user built (transformations) and what runs (the job graph)."""
