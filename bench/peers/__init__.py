# SPDX-License-Identifier: Apache-2.0
"""The same work on flinkcore and on its peers, side by side: python -m bench peers --help.

One module for each engine. It has

    version() -> str
    prepare(job, table, threads) -> (run, arrow)
    close(), if something is to be stopped at the end

`run()` is what is timed: from data in memory, in the form the engine likes best, to a result in memory. Engines that
read no memory get files, which are in the system's cache, and may write files. What `run()` returns may have `seconds`,
when the engine starts something for each run that is no part of the job.
`arrow(run())` is the result as a pyarrow.Table with the columns of bench.workloads, for the check.
A variant of a job, such as W3.record, is a variant of flinkcore's; the other engines run the job itself.
An engine is imported only in the process that runs it, and bench.peers.child, bench.data and bench.workloads import no
flinkcore: an engine's environment has none.
"""
