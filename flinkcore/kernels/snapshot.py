# SPDX-License-Identifier: Apache-2.0
"""What an export of keyed aggregates is: frames, one after the other.

A frame is 16 bytes and a payload, all numbers little-endian:

    OFFSET  SIZE  FIELD
         0     4  magic       "FCKA"
         4     1  version     1
         5     1  part        1 description, 2 keys, 3 accumulators, 4 end
         6     2  reserved    0
         8     4  bytes       of the payload
        12     4  checksum    CRC-32 of the payload

The description is first: an Arrow schema in IPC form, of the columns that are read, with metadata in JSON. Blocks of
keys (csrc/fc_group_snapshot.h) and accumulators (csrc/fc_agg_snapshot.h) follow, then the end, with the number of
frames before it as 8 bytes: an export that was cut short is not taken for a whole one.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import pyarrow as pa

from flinkcore.errors import NewerFormatError, StateFormatError

Bytes: TypeAlias = "bytes | bytearray | memoryview"

VERSION = 1
DESCRIPTION, KEYS, ACCUMULATORS, END = 1, 2, 3, 4

_MAGIC = b"FCKA"
_HEADER = struct.Struct("<4sBBHII")
_COUNT = struct.Struct("<Q")
_METADATA = b"flinkcore"


@dataclass(frozen=True)
class Description:
    """What an export is of.

    epoch : that it is the end of;  since : what changed after that epoch is in it, 0: everything
    """

    schema: pa.Schema
    keys: tuple[str, ...]
    aggregates: Mapping[str, tuple[str, ...]]
    retractable: bool
    since: int
    epoch: int

    def to_bytes(self) -> bytes:
        said = {
            "keys": self.keys,
            "aggregates": dict(self.aggregates),
            "retractable": self.retractable,
            "since": self.since,
            "epoch": self.epoch,
        }
        bytes_: bytes = self.schema.with_metadata({_METADATA: json.dumps(said)}).serialize().to_pybytes()
        return bytes_

    @classmethod
    def of_bytes(cls, payload: Bytes) -> Description:
        """StateFormatError : the bytes are no description"""
        try:
            schema = pa.ipc.read_schema(pa.py_buffer(payload))
            said = json.loads(schema.metadata[_METADATA])
            return cls(
                schema.remove_metadata(),
                tuple(said["keys"]),
                {name: tuple(call) for name, call in said["aggregates"].items()},
                bool(said["retractable"]),
                int(said["since"]),
                int(said["epoch"]),
            )
        except (pa.ArrowException, OSError, KeyError, TypeError, ValueError, AttributeError) as error:
            raise StateFormatError(f"the first frame describes no keyed aggregates: {error!r}") from error


def frames(description: Description, blocks: Iterable[tuple[int, bytes]]) -> Iterator[bytes]:
    """An export, frame by frame."""
    count = 1
    yield _frame(DESCRIPTION, description.to_bytes())
    for part, payload in blocks:
        count += 1
        yield _frame(part, payload)
    yield _frame(END, _COUNT.pack(count))


def _frame(part: int, payload: bytes) -> bytes:
    return _HEADER.pack(_MAGIC, VERSION, part, 0, len(payload), zlib.crc32(payload)) + payload


def read_frames(export: Bytes | Iterable[Bytes]) -> Iterator[tuple[int, memoryview]]:
    """(part, payload) of every frame of an export; its pieces may be cut anywhere.

    StateFormatError : damaged, or cut short, or no export;  NewerFormatError : of a later version
    """
    source = _Pieces([export] if isinstance(export, bytes | bytearray | memoryview) else export)
    count = 0
    while True:
        header = source.take(_HEADER.size, f"the header of frame {count}")
        magic, version, part, reserved, size, checksum = _HEADER.unpack(header)
        if magic != _MAGIC:
            raise StateFormatError(
                f"frame {count} starts with {bytes(header[:4])!r}, expected {_MAGIC!r}: these are "
                "no exported keyed aggregates, or pieces are missing"
            )
        if version > VERSION:
            raise NewerFormatError(
                f"frame {count} has format {version}; this build reads 1 to {VERSION}; restore with "
                "a newer flinkcore"
            )
        payload = source.take(size, f"the payload of frame {count}")
        if version < 1 or reserved or not DESCRIPTION <= part <= END or zlib.crc32(payload) != checksum:
            raise StateFormatError(f"frame {count} is damaged; export again, or use an older export")
        if (part == DESCRIPTION) != (count == 0):
            raise StateFormatError(
                f"frame {count} is of part {part}: an export has its description first, and once"
            )
        if part == END:
            if size != _COUNT.size or _COUNT.unpack(payload)[0] != count:
                raise StateFormatError(
                    f"the export ends after {count} frames, which are not all; frames are missing"
                )
            if not source.is_at_end():
                raise StateFormatError("bytes follow the end of the export; give each export on its own")
            return
        yield part, payload
        count += 1


class _Pieces:
    """Bytes in pieces, taken in other pieces; a copy only where one is cut."""

    def __init__(self, pieces: Iterable[Bytes]) -> None:
        self._pieces = iter(pieces)
        self._rest = memoryview(b"")

    def _more(self) -> bool:
        while not len(self._rest):
            piece: Any = next(self._pieces, None)
            if piece is None:
                return False
            self._rest = memoryview(piece).cast("B")
        return True

    def take(self, size: int, what: str) -> memoryview:
        taken = bytearray()
        while self._more() or size == 0:
            if not taken and len(self._rest) >= size:
                head, self._rest = self._rest[:size], self._rest[size:]
                return head
            missing = size - len(taken)
            taken += self._rest[:missing]
            self._rest = self._rest[missing:]
            if len(taken) == size:
                return memoryview(taken)
        raise StateFormatError(f"the export ends within {what}: it was cut short")

    def is_at_end(self) -> bool:
        return not self._more()
