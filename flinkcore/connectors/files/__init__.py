# SPDX-License-Identifier: Apache-2.0
"""Files as sources and sinks. One module for each format, all behind the two interfaces of `format`."""
