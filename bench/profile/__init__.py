# SPDX-License-Identifier: Apache-2.0
"""Where the time of a job goes: python -m bench profile --help."""
