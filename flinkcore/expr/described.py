# SPDX-License-Identifier: Apache-2.0
"""Aggregations in values of JSON, so that accumulators in a snapshot can be shown as results without the program.

    {"calls": [[op, [argument, ...], alias, distinct], ...], "schema": base64 of an Arrow schema,
     "retracts": bool, "merges": bool}

The schema has the types of the arguments, each once, then those of the calls' results; arguments are numbered.
"""

from __future__ import annotations

import base64
from typing import Any

import pyarrow as pa

from flinkcore.errors import FlinkcoreError
from flinkcore.expr.aggregate import AggregateCall, Aggregation
from flinkcore.expr.typed import InputColumn

_ARITY = {"count_star": 0, "min_by": 2, "max_by": 2}
_OPS = {"count", "count_star", "sum", "sum0", "avg", "min", "max", "first", "last", "min_by", "max_by"}


def describe_aggregation(aggregation: Aggregation) -> dict[str, Any]:
    """What aggregation_of_description needs."""
    calls = aggregation.calls
    arguments = list(dict.fromkeys(argument for call in calls for argument in call.args))
    types = [*(argument.type for argument in arguments), *aggregation.types]
    schema = pa.schema([pa.field(str(i), type) for i, type in enumerate(types)])
    return {
        "calls": [
            [call.op, [arguments.index(argument) for argument in call.args], call.alias, call.distinct]
            for call in calls
        ],
        "schema": base64.b64encode(schema.serialize().to_pybytes()).decode(),
        "retracts": aggregation.retracts,
        "merges": aggregation.merges,
    }


def aggregation_of_description(description: dict[str, Any]) -> Aggregation:
    """An aggregation with the same kernels and results; its arguments are columns. ValueError: it describes none."""
    try:
        described = description["calls"]
        schema = pa.ipc.read_schema(pa.py_buffer(base64.b64decode(description["schema"], validate=True)))
        count = len(schema) - len(described)
        arguments = [InputColumn(i, f"argument {i}", schema.field(i).type) for i in range(count)]
        calls = []
        for i, (op, places, alias, distinct) in enumerate(described):
            if op not in _OPS or len(places) != _ARITY.get(op, 1) or not all(0 <= p < count for p in places):
                raise ValueError(f"{op} of arguments {places}")
            args = tuple(arguments[place] for place in places)
            result = schema.field(count + i).type
            calls.append(AggregateCall(op, args, str(alias), distinct is True, result, True, True, str(alias)))
        return Aggregation(calls, None, description["retracts"] is True, description["merges"] is True)
    except (LookupError, TypeError, ValueError, AttributeError, OSError, pa.ArrowException, FlinkcoreError) as error:
        raise ValueError(f"not the description of an aggregation: {error!r}") from error
