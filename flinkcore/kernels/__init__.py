# SPDX-License-Identifier: Apache-2.0
"""The kernels for other libraries: Arrow or NumPy in and out, no job and no stream needed (docs/kernels.md).

Columns are pyarrow Arrays or ChunkedArrays, NumPy arrays, what has __arrow_c_array__ or __arrow_c_stream__ (a Polars
or pandas Series), or anything else that NumPy takes. Types are pyarrow DataTypes, NumPy dtypes, or what has
__arrow_c_schema__. Numbers, booleans, times, strings and binary values can be keys and be aggregated; nested values
and Python objects cannot.

    hash_columns, hash_partition, scatter        rows to hashes, and to partitions by them
    GroupIndex                                   dense ids for distinct keys
    Aggregate, Accumulators                      running aggregates by id
    pane_starts, pane_index, sliding_starts, SessionIndex        windows in event time
    group_by, KeyedAggregates, Snapshot          the parts put together over batches, with snapshots
"""

from flinkcore.kernels.aggregates import Accumulators, Aggregate
from flinkcore.kernels.groups import GroupIndex
from flinkcore.kernels.keyed import KeyedAggregates, Snapshot, group_by
from flinkcore.kernels.partition import hash_columns, hash_partition, scatter
from flinkcore.kernels.windows import SessionIndex, pane_index, pane_starts, sliding_starts

__all__ = [
    "Accumulators",
    "Aggregate",
    "GroupIndex",
    "KeyedAggregates",
    "SessionIndex",
    "Snapshot",
    "group_by",
    "hash_columns",
    "hash_partition",
    "pane_index",
    "pane_starts",
    "scatter",
    "sliding_starts",
]
