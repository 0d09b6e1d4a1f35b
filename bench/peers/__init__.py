# SPDX-License-Identifier: Apache-2.0
"""The same work on flinkcore and on its peers, side by side: python -m bench.peers --help.

One module for each engine. It has

    version() -> str
    ROWS_MAX : the most rows that the engine is given, None for all
    THREADED : whether it can use more than one thread
    prepare(job, table, threads) -> (run, arrow), or None when the engine has no form of the job

`run()` is what is timed: from data in memory, in the form the engine likes best, to a result in memory.
`arrow(run())` is the result as a pyarrow.Table with the columns of bench.workloads, for the check.
An engine is imported only in the process that runs it.
"""
