# SPDX-License-Identifier: Apache-2.0
"""PyFlink's own example programs, scaled: python -m bench programs --help.

The programs are those of the apache-flink wheel, as they are; only their input is larger. Each is a row of PROGRAMS:
its file, its input, and its answer, which the output is held against. bench.programs.child runs it, under flinkcore or
under PyFlink itself; with_bytewax has the same programs for Bytewax.
"""
