# SPDX-License-Identifier: Apache-2.0
"""Manifest: what makes a checkpoint complete. It names all of its state, and is written last, only if absent.

    OFFSET  SIZE  FIELD
         0     4  magic            "FCMF"
         4     2  format_version   1
         6     2  reserved         0
         8     8  json_bytes
        16     8  inline_bytes
        24     8  checksum         xxh3_64 of all bytes but these 8
        32     *  JSON, as _to_json writes it
         *     *  the inline segments, in the order in which the JSON names them

Everything is little-endian, and nothing may follow. A reader takes nothing on trust: every field is checked for type
and range, and no field may be missing or unknown. Format version 1 has one reader, _from_json_1; a change is a new
version with a reader of its own.
"""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, cast

from flinkcore import __version__, faultpoint
from flinkcore.checkpoint.json_fields import Fields, Json, JsonFault, check_json, parse_object
from flinkcore.checkpoint.segment import SegmentRef
from flinkcore.checkpoint.store import Store, check_path
from flinkcore.errors import CheckpointError, NewerFormatError, StateFormatError
from flinkcore.state.part import MODES, ListState, Mode, PartState

FORMAT_VERSION = 1

_HEADER = struct.Struct("<4sHHQQQ")
_MAGIC = b"FCMF"
_CHECKED_HEADER_BYTES = _HEADER.size - 8

_ID = r"[0-9a-f]{32}"
_DIGEST = r"[0-9a-f]{16}"
#: Where the segments of a checkpoint lie, and those of a savepoint.
SEGMENT_PATHS = {"checkpoint": r"shared/[A-Za-z0-9_-]+\.seg", "savepoint": r"[A-Za-z0-9_-]+\.seg"}
_MAX_PARALLELISM = 32768  # Flink: KeyGroupRangeAssignment.UPPER_BOUND_MAX_PARALLELISM
_UINT32_MAX = 2**32 - 1


@dataclass(frozen=True)
class SubtaskState:
    """The state of one subtask.

    key_groups : (start, end), half-open; start == end when it has no keyed state
    epoch : the last one that is in the segments
    finished : its input had ended
    segments : a full one and those that build on it, each since the epoch of the one before
    """

    index: int
    key_groups: tuple[int, int]
    epoch: int
    finished: bool = False
    fields: dict[str, Any] = field(default_factory=dict)
    lists: dict[str, ListState] = field(default_factory=dict)
    parts: tuple[PartState, ...] = ()
    segments: tuple[SegmentRef, ...] = ()


@dataclass(frozen=True)
class OperatorState:
    """The state of one operator. coordinator : what a source's enumerator remembers."""

    operator_id: str
    uid: str | None
    name: str
    parallelism: int
    max_parallelism: int
    subtasks: tuple[SubtaskState, ...]
    coordinator: Json = None


@dataclass(frozen=True)
class Manifest:
    """A checkpoint or savepoint. kind : "checkpoint" or "savepoint"; trigger : why it was made."""

    job_name: str
    job_id: str
    checkpoint_id: int
    kind: str
    created_ms: int
    operators: tuple[OperatorState, ...]
    trigger: dict[str, Any] = field(default_factory=dict)
    flinkcore_version: str = __version__
    format_version: int = FORMAT_VERSION

    def segments(self) -> Iterator[SegmentRef]:
        for operator in self.operators:
            for subtask in operator.subtasks:
                yield from subtask.segments

    def paths(self) -> set[str]:
        """The files that it refers to."""
        return {ref.path for ref in self.segments() if ref.path is not None}

    @property
    def bytes(self) -> int:
        """Of all segments."""
        return sum(ref.bytes for ref in self.segments())


def write_manifest(store: Store, path: str, manifest: Manifest) -> int:
    """Makes the checkpoint complete. -> bytes written

    FileExistsError : there is a manifest of that name; CheckpointStorageError : it cannot be written
    CheckpointError : it could not be read back, for example for a value that JSON does not have
    """
    pieces = encode(manifest)
    faultpoint.reached("manifest.begun")
    writer = store.create(path, if_absent=True)
    try:
        for piece in pieces:
            writer.write(piece)
        writer.sync()
        faultpoint.reached("manifest.written")
        writer.publish()
    except BaseException:
        writer.abort()
        raise
    faultpoint.reached("manifest.linked")
    return sum(map(len, pieces))


def read_manifest(store: Store, path: str) -> Manifest:
    """A manifest, with every byte of it checked; its segments are not read.

    FileNotFoundError : there is none; CheckpointStorageError : it cannot be read
    StateFormatError : it is damaged, foreign, or of a newer version
    """
    name = f"manifest '{store.name_of(path)}'"
    with store.open(path) as file:
        if file.size < _HEADER.size:
            raise _damaged(name, f"it ends after {file.size} bytes")
        header = file.read(0, _HEADER.size)
        json_bytes, inline_bytes = _lengths(header, file.size, name)
        body = file.read(_HEADER.size, json_bytes + inline_bytes)
    return _decode(header, body, json_bytes, name)


def encode(manifest: Manifest) -> list[bytes]:
    """The bytes of a manifest, in pieces. CheckpointError when they could not be read back as it is."""
    from xxhash import xxh3_64

    inline = [bytes(ref.inline) for ref in manifest.segments() if ref.path is None]
    try:
        value = _to_json(manifest)
        _from_json_1(Fields(value, ""), memoryview(b"".join(inline)))
    except JsonFault as error:
        raise CheckpointError(f"checkpoint {manifest.checkpoint_id} of job '{manifest.job_name}' cannot be written: "
                              f"{error}; what lies in the manifest is made of JSON values") from error
    text = json.dumps(value, separators=(",", ":"), allow_nan=False).encode()
    header = _HEADER.pack(_MAGIC, FORMAT_VERSION, 0, len(text), sum(map(len, inline)), 0)[:_CHECKED_HEADER_BYTES]
    hasher = xxh3_64(header)
    for piece in (text, *inline):
        hasher.update(piece)
    return [header + hasher.intdigest().to_bytes(8, "little"), text, *inline]


def decode(data: bytes | memoryview, name: str = "manifest") -> Manifest:
    """The manifest that encode() wrote. StateFormatError : it is damaged, foreign, or of a newer version."""
    view = memoryview(data)
    if len(view) < _HEADER.size:
        raise _damaged(name, f"it ends after {len(view)} bytes")
    json_bytes, _ = _lengths(view[: _HEADER.size], len(view), name)
    return _decode(view[: _HEADER.size], view[_HEADER.size :], json_bytes, name)


def _lengths(header: memoryview, size: int, name: str) -> tuple[int, int]:
    """(json_bytes, inline_bytes) of a manifest of `size` bytes."""
    magic, version, reserved, json_bytes, inline_bytes, _ = _HEADER.unpack(header)
    if magic != _MAGIC:
        raise StateFormatError(f"{name} is no manifest of flinkcore: it begins with {bytes(magic)!r}; give the folder "
                               "of a checkpoint or savepoint that flinkcore wrote")
    if version > FORMAT_VERSION:
        raise NewerFormatError(f"{name} has format {version}; this flinkcore reads 1 to {FORMAT_VERSION}; restore with "
                               "a newer flinkcore")
    if version < 1 or reserved:
        raise _damaged(name, "its header has values that no flinkcore writes")
    if _HEADER.size + json_bytes + inline_bytes != size:
        raise _damaged(name, f"it has {size:,} bytes, and its header says {_HEADER.size + json_bytes + inline_bytes:,}")
    return json_bytes, inline_bytes


def _decode(header: memoryview, body: memoryview, json_bytes: int, name: str) -> Manifest:
    from xxhash import xxh3_64

    hasher = xxh3_64(header[:_CHECKED_HEADER_BYTES])
    hasher.update(body)
    if hasher.intdigest() != int.from_bytes(header[_CHECKED_HEADER_BYTES:], "little"):
        raise _damaged(name, "it does not have its checksum")
    try:
        return _from_json_1(parse_object(bytes(body[:json_bytes]), ""), body[json_bytes:])
    except JsonFault as error:
        raise _damaged(name, str(error)) from error


def _damaged(name: str, what: str) -> StateFormatError:
    return StateFormatError(f"{name} is damaged: {what}; put the original file back, or restore from another "
                            "checkpoint")


# -- format version 1 --------------------------------------------------------------------------------------------------


def _to_json(manifest: Manifest) -> dict[str, Any]:
    check_json(manifest.trigger, "trigger")
    return {
        "flinkcore_version": manifest.flinkcore_version,
        "job_name": manifest.job_name,
        "job_id": manifest.job_id,
        "checkpoint_id": manifest.checkpoint_id,
        "kind": manifest.kind,
        "created_ms": manifest.created_ms,
        "trigger": manifest.trigger,
        "operators": [_operator_to_json(operator) for operator in manifest.operators],
    }


def _operator_to_json(operator: OperatorState) -> dict[str, Any]:
    check_json(operator.coordinator, f"the coordinator of operator '{operator.name}'")
    return {
        "operator_id": operator.operator_id,
        "uid": operator.uid,
        "name": operator.name,
        "parallelism": operator.parallelism,
        "max_parallelism": operator.max_parallelism,
        "coordinator": operator.coordinator,
        "subtasks": [_subtask_to_json(subtask, operator.name) for subtask in operator.subtasks],
    }


def _subtask_to_json(subtask: SubtaskState, operator: str) -> dict[str, Any]:
    check_json(subtask.fields, f"operator '{operator}'")
    for name, state in subtask.lists.items():
        check_json(state.items, f"state '{name}' of operator '{operator}'")
    for part in subtask.parts:
        check_json([part.namespace, part.description], f"part '{part.name}' of operator '{operator}'")
    return {
        "index": subtask.index,
        "key_groups": list(subtask.key_groups),
        "epoch": subtask.epoch,
        "finished": subtask.finished,
        "fields": subtask.fields,
        "lists": {name: {"mode": state.mode, "items": state.items} for name, state in subtask.lists.items()},
        "parts": [
            {
                "number": part.number,
                "name": part.name,
                "namespace": part.namespace,
                "kind": part.kind,
                "parent": part.parent,
                "description": part.description,
                "rows": part.rows,
                "bytes": part.bytes,
            }
            for part in subtask.parts
        ],
        "segments": [
            {
                "path": ref.path,
                "bytes": ref.bytes,
                "digest": f"{ref.digest:016x}",
                "since": ref.since,
                "epoch": ref.epoch,
            }
            for ref in subtask.segments
        ],
    }


def _from_json_1(fields: Fields, inline: memoryview) -> Manifest:
    kind = fields.choice("kind", "checkpoint", "savepoint")
    reader = _Reader1(kind, inline)
    manifest = Manifest(
        flinkcore_version=fields.text("flinkcore_version"),
        job_name=fields.text("job_name"),
        job_id=fields.text("job_id", _ID),
        checkpoint_id=fields.integer("checkpoint_id", 1),
        kind=kind,
        created_ms=fields.integer("created_ms"),
        trigger=fields.mapping("trigger"),
        operators=tuple(map(reader.operator, fields.objects("operators"))),
        format_version=1,
    )
    fields.end()
    reader.end()
    if len({operator.operator_id for operator in manifest.operators}) < len(manifest.operators):
        raise JsonFault("two operators have one operator_id")
    uids = [operator.uid for operator in manifest.operators if operator.uid is not None]
    if len(set(uids)) < len(uids):
        raise JsonFault("two operators have one uid")
    return manifest


class _Reader1:
    """Reads what is below the top, and hands the inline segments their bytes."""

    def __init__(self, kind: str, inline: memoryview) -> None:
        self.path_pattern = SEGMENT_PATHS[kind]
        self.inline = inline
        self.offset = 0

    def end(self) -> None:
        if self.offset != len(self.inline):
            raise JsonFault(f"its segments have {self.offset} inline bytes, and {len(self.inline)} are there")

    def operator(self, fields: Fields) -> OperatorState:
        max_parallelism = fields.integer("max_parallelism", 1, _MAX_PARALLELISM)
        parallelism = fields.integer("parallelism", 1, max_parallelism)
        operator = OperatorState(
            operator_id=fields.text("operator_id", _ID),
            uid=fields.text_or_none("uid"),
            name=fields.text("name"),
            parallelism=parallelism,
            max_parallelism=max_parallelism,
            coordinator=fields.any("coordinator"),
            subtasks=tuple(self.subtask(inner, max_parallelism) for inner in fields.objects("subtasks")),
        )
        fields.end()
        if [subtask.index for subtask in operator.subtasks] != list(range(parallelism)):
            raise JsonFault(f"{fields.place} does not have each of its {parallelism} subtasks once, in order")
        return operator

    def subtask(self, fields: Fields, max_parallelism: int) -> SubtaskState:
        epoch = fields.integer("epoch")
        subtask = SubtaskState(
            index=fields.integer("index"),
            key_groups=self.key_groups(fields, max_parallelism),
            epoch=epoch,
            finished=fields.boolean("finished"),
            fields=fields.mapping("fields"),
            lists={name: self.list_state(Fields(value, f"{fields.place}.lists.{name}"))
                   for name, value in fields.mapping("lists").items()},
            parts=tuple(map(self.part, fields.objects("parts"))),
            segments=tuple(map(self.segment, fields.objects("segments"))),
        )
        fields.end()
        check_parts(subtask.parts, fields.place)
        reached = 0
        for ref in subtask.segments:
            if ref.since != reached or ref.epoch <= reached or ref.epoch > epoch:
                raise JsonFault(f"{fields.place} has a segment of the epochs {ref.since} to {ref.epoch} after epoch "
                                f"{reached}, in a snapshot of epoch {epoch}")
            reached = ref.epoch
        if not subtask.segments and any(part.rows for part in subtask.parts):
            raise JsonFault(f"{fields.place} has rows, and no segment")
        return subtask

    def key_groups(self, fields: Fields, max_parallelism: int) -> tuple[int, int]:
        found = fields.items("key_groups")
        if len(found) == 2 and all(type(value) is int for value in found):
            start, end = found
            if 0 <= start <= end <= max_parallelism:
                return start, end
        raise JsonFault(f"{fields.place}.key_groups is not [start, end) of 0 to {max_parallelism}")

    def list_state(self, fields: Fields) -> ListState:
        state = ListState(cast(Mode, fields.choice("mode", *MODES)), fields.items("items"))
        fields.end()
        return state

    def part(self, fields: Fields) -> PartState:
        part = PartState(
            number=fields.integer("number", 0, _UINT32_MAX),
            name=fields.text("name"),
            namespace=fields.any("namespace"),
            kind=fields.text("kind"),
            parent=fields.text_or_none("parent"),
            description=fields.mapping("description"),
            rows=fields.integer("rows"),
            bytes=fields.integer("bytes"),
        )
        fields.end()
        return part

    def segment(self, fields: Fields) -> SegmentRef:
        path = fields.text_or_none("path")
        length = fields.integer("bytes")
        inline: bytes | memoryview = b""
        if path is None:
            inline = self.inline[self.offset : self.offset + length]
            if len(inline) < length:
                raise JsonFault(f"{fields.place} lies behind the end of the manifest")
            self.offset += length
        else:
            self.check_segment_path(path, fields.place)
        ref = SegmentRef(
            path=path,
            bytes=length,
            digest=int(fields.text("digest", _DIGEST), 16),
            since=fields.integer("since"),
            epoch=fields.integer("epoch", 1),
            inline=inline,
        )
        fields.end()
        return ref

    def check_segment_path(self, path: str, place: str) -> None:
        try:
            check_path(path)
        except StateFormatError as error:
            raise JsonFault(f"{place}: {error}") from error
        if not re.fullmatch(self.path_pattern, path):
            raise JsonFault(f"{place}.path is {path[:100]!r}, expected a path like {self.path_pattern}")


def check_parts(parts: tuple[PartState, ...], place: str) -> None:
    """JsonFault when two parts cannot be told apart, or one builds on none."""
    numbers = {part.number for part in parts}
    names = {(part.name, json.dumps(part.namespace, sort_keys=True)) for part in parts}
    if len(numbers) < len(parts) or len(names) < len(parts):
        raise JsonFault(f"{place} has two parts of one number, or of one name and namespace")
    known = {part.name for part in parts}
    for part in parts:
        if part.parent is not None and part.parent not in known and part.parent not in MODES:
            raise JsonFault(f"{place} has a part '{part.name}' of '{part.parent}', which is not there")
