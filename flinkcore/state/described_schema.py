# SPDX-License-Identifier: Apache-2.0
"""Schemas in values of JSON, as descriptions of parts hold them: in Arrow's form, readable without the program.

A column of Python objects is a binary field there, which its metadata marks.
"""

from __future__ import annotations

import base64
from typing import Any

import pyarrow as pa

from flinkcore.columnar.schema import Schema

_OBJECT_FIELD = {b"flinkcore": b"object"}


def describe_schema(schema: Schema) -> dict[str, Any]:
    """{"schema": Arrow's bytes in base64, "names": ..., "form": ...}"""
    fields = [
        pa.field(name, pa.binary(), metadata=_OBJECT_FIELD) if type is None else pa.field(name, type)
        for name, type in zip(schema.names, schema.types)
    ]
    return {
        "schema": base64.b64encode(pa.schema(fields).serialize().to_pybytes()).decode(),
        "names": list(schema.names),
        "form": schema.form,
    }


def schema_of_description(description: dict[str, Any]) -> Schema:
    """The schema that was described. An error of lookup, type, value, Arrow or ours: it is none"""
    arrow = pa.ipc.read_schema(pa.py_buffer(base64.b64decode(description["schema"], validate=True)))
    types = [None if field.metadata == _OBJECT_FIELD else field.type for field in arrow]
    form = description["form"]
    if description["names"] != arrow.names or form not in ("row", "tuple", "value", "object"):
        raise ValueError("names or form are not those of the schema")
    return Schema(arrow.names, types, form)
