# SPDX-License-Identifier: Apache-2.0
"""What `pyflink.version` says while pyflink stands for flinkcore: the PyFlink release whose API it follows.

Programs compare this number to choose among PyFlink's calls. flinkcore's own is flinkcore.__version__.
"""

__version__ = "2.3.0"
