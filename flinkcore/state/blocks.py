# SPDX-License-Identifier: Apache-2.0
"""Blocks of parts that are tables of Python values: each an Arrow IPC stream of one record batch.

The schema says in its metadata what the block is, so that any reader of Arrow can make sense of it:

    flinkcore.part      "table" or "timers"
    flinkcore.version   "1"; the version of the part's columns
    flinkcore.rows      "present": rows as they are; "removed": rows that are no more; "nothing": no row, all that
                        earlier blocks held is void

A block is not trusted: its schema has to be one that the part expects, bodies are not compressed (a few bytes
could claim any size), and Arrow checks every offset and every string before a value is read.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping

import pyarrow as pa

from flinkcore.errors import NewerFormatError, StateFormatError
from flinkcore.state.part import Payload

VERSION = 1
BLOCK_BYTES = 1 << 20
#: Rows that are encoded in one go, so that a step of the writing thread holds the GIL for a few ms at most.
ROWS_MAX = 8192

_END_OF_STREAM = b"\xff\xff\xff\xff\0\0\0\0"
PRESENT, REMOVED, NOTHING = "present", "removed", "nothing"


def block_schema(part: str, rows: str, fields: list[pa.Field]) -> pa.Schema:
    """The schema of a block; see the module."""
    return pa.schema(
        fields,
        {"flinkcore.part": part, "flinkcore.version": str(VERSION), "flinkcore.rows": rows},
    )


def written(schema: pa.Schema, arrays: list[pa.Array]) -> Iterator[pa.Buffer]:
    """The rows of some columns as blocks of about BLOCK_BYTES at most; one row is never cut."""
    batch = pa.RecordBatch.from_arrays(arrays, schema=schema)
    count = max(1, -(-batch.nbytes // BLOCK_BYTES))
    rows = max(1, -(-batch.num_rows // count))
    for start in range(0, max(1, batch.num_rows), rows):
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, schema) as stream:
            stream.write_batch(batch.slice(start, rows))
        yield sink.getvalue()


def read(payload: Payload, schemas: Mapping[str, pa.Schema] | None = None) -> tuple[str, pa.RecordBatch]:
    """What a block says of its rows, and the rows. StateFormatError when it is not one of these schemas.

    schemas : by what the block says of its rows; None: any that has a column `group_id` of int32
    """
    source = pa.BufferReader(pa.py_buffer(payload))
    try:
        schema = pa.ipc.read_schema(_message(source, "schema"))
        rows, expected = _any(schema) if schemas is None else _expected(schema, schemas)
        message = _message(source, "record batch")
        if _is_compressed(message.metadata):
            raise StateFormatError("a block of state is compressed; blocks are not")
        batch = pa.ipc.read_record_batch(message, expected)
        batch.validate(full=True)
    except StateFormatError:
        raise
    except (pa.ArrowException, OSError, EOFError, ValueError, struct.error) as error:
        raise StateFormatError(f"a block of state is no sound Arrow stream: {error}") from error
    if source.read() != _END_OF_STREAM:
        raise StateFormatError("a block of state does not end where its record batch ends")
    return rows, batch


def _message(source: pa.BufferReader, kind: str) -> pa.Message:
    message = pa.ipc.read_message(source)
    if message.type != kind:
        raise StateFormatError(f"a block of state has a {message.type} where a {kind} is expected")
    return message


def _rows_of(schema: pa.Schema) -> str:
    """What the metadata says of the rows, in a version that is known."""
    metadata = {key: value.decode("utf-8", "replace") for key, value in (schema.metadata or {}).items()}
    version = metadata.get(b"flinkcore.version", "none")
    if version.isdecimal() and len(version) < 10 and int(version) > VERSION:
        raise NewerFormatError(
            f"a block of state has format {version}; this build reads {VERSION}; restore with a newer flinkcore"
        )
    if version != str(VERSION):
        raise StateFormatError(f"a block of state has format {version}, which no flinkcore writes")
    return metadata.get(b"flinkcore.rows", "none")


def _any(schema: pa.Schema) -> tuple[str, pa.Schema]:
    rows = _rows_of(schema)
    place = schema.get_field_index("group_id")
    if rows not in (PRESENT, REMOVED, NOTHING) or (rows != NOTHING and place < 0):
        raise StateFormatError(f"a block of state says '{rows}' of its rows, of columns {_columns(schema)}")
    if rows != NOTHING and schema.field(place).type != pa.int32():
        raise StateFormatError(f"a block of state has group ids of type {schema.field(place).type}")
    return rows, schema


def _expected(schema: pa.Schema, schemas: Mapping[str, pa.Schema]) -> tuple[str, pa.Schema]:
    rows = _rows_of(schema)
    expected = schemas.get(rows)
    if expected is None:
        raise StateFormatError(f"a block of state says '{rows}' of its rows; known are {', '.join(schemas)}")
    if not schema.equals(expected, check_metadata=True):
        raise StateFormatError(
            f"a block of state has the columns {_columns(schema)}, expected {_columns(expected)}"
        )
    return rows, expected


def _columns(schema: pa.Schema) -> str:
    return ", ".join(f"{field.name}: {field.type}" for field in schema)


def _is_compressed(metadata: pa.Buffer) -> bool:
    """Whether a record batch names a compression, which pyarrow does not tell.

    The metadata is a flatbuffer, which Arrow has verified: Message {version, header_type, header, bodyLength,
    custom_metadata} with the header RecordBatch {length, nodes, buffers, compression, ...} (format/Message.fbs).
    """
    data = memoryview(metadata)
    root = struct.unpack_from("<I", data, 0)[0]
    header_at = root + _field(data, root, 2)
    header = header_at + struct.unpack_from("<I", data, header_at)[0]
    return _field(data, header, 3) != 0


def _field(data: memoryview, table: int, index: int) -> int:
    """Where a field of a flatbuffer's table lies, relative to the table; 0 when it is absent."""
    vtable = table - struct.unpack_from("<i", data, table)[0]
    size = struct.unpack_from("<H", data, vtable)[0]
    at = 4 + 2 * index
    return int(struct.unpack_from("<H", data, vtable + at)[0]) if at + 2 <= size else 0
