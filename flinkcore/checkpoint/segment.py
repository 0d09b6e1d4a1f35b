# SPDX-License-Identifier: Apache-2.0
"""Segment: what one snapshot wrote for one operator subtask, a sequence of blocks (part number, payload).

    OFFSET  SIZE  FIELD
         0     4  magic            "FCSG"
         4     2  format_version   1
         6     1  codec            1 none, 2 lz4 (raw blocks), 3 zstd
         7     1  reserved         0
         8     8  since            \\  it holds what changed in the epochs (since, epoch];
        16     8  epoch            /  since 0: everything
        24     8  reserved         0
        32     *  the blocks as they are stored, one behind the other
         *  24*n  the index, an entry for each block:
                    0  4  part number
                    4  4  raw_bytes     of the payload, > 0
                    8  4  stored_bytes  raw_bytes: stored as it is; less: compressed by the codec
                   12  4  reserved      0
                   16  8  checksum      xxh3_64 of the raw payload; when it is compressed, seeded with that of
                                        the stored bytes: many of those unpack to the same
       -16     4  magic            "FCSE"
       -12     4  block_count
        -8     8  digest           xxh3_64 of the header, the index, and the 8 bytes before it

Everything is little-endian. The digest stands also in the manifest that refers to the segment: as the index holds the
checksums of the payloads, it vouches for every byte. The index is checked as a whole before the first payload is
read, so that nothing is allocated that the segment's length does not justify.

A segment lies in a file of its own, or, when it is small, in the manifest.
"""

from __future__ import annotations

import struct
from collections.abc import Container, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import pyarrow as pa

from flinkcore import faultpoint
from flinkcore.checkpoint.memory_store import MemoryReader
from flinkcore.checkpoint.store import FileReader, FileWriter, Store
from flinkcore.errors import CheckpointError, NewerFormatError, StateFormatError
from flinkcore.state.part import Payload

FORMAT_VERSION = 1

_HEADER = struct.Struct("<4sHBBQQQ")
_ENTRY = struct.Struct("<IIIIQ")
_FOOTER = struct.Struct("<4sIQ")
_MAGIC = b"FCSG"
_END_MAGIC = b"FCSE"
_CODECS = {"none": 1, "lz4": 2, "zstd": 3}

#: A longer payload is not compressed, so that no block unpacks to more than this.
COMPRESSED_RAW_BYTES_MAX = 64 << 20
#: Payloads under this are copied and written together.
_SMALL_BYTES = 64 << 10


@dataclass(frozen=True)
class SegmentRef:
    """A segment, as a manifest refers to it.

    path : its file, relative to what the manifest's paths start from; None when it lies in the manifest
    inline : its bytes, when it lies in the manifest
    """

    path: str | None
    bytes: int
    digest: int
    since: int
    epoch: int
    inline: Payload = field(default=b"", repr=False, compare=False)


class SegmentWriter:
    """Writes one segment; used by one thread. After any error only abort() may follow.

    path : of the file, relative to the store; made as soon as the segment is too large to be inline
    inline_bytes_max : a segment up to this size is not written but kept in its SegmentRef; 0 for none
    codec : "none", "lz4" or "zstd"
    """

    def __init__(self, store: Store, path: str, *, since: int, epoch: int, inline_bytes_max: int = 0,
                 codec: str = "none") -> None:
        self._store = store
        self._path = path
        self._since = since
        self._epoch = epoch
        self._inline_bytes_max = inline_bytes_max
        self._codec = None if codec == "none" else _codec(codec)
        self._header = _HEADER.pack(_MAGIC, FORMAT_VERSION, _CODECS[codec], 0, since, epoch, 0)
        self._index = bytearray()
        self._waiting = bytearray(self._header)  # not written yet
        self._stored_bytes = len(self._header)
        self._file: FileWriter | None = None
        faultpoint.reached("upload.begun")

    def write(self, part: int, payload: Payload) -> None:
        """Appends a block. The payload is not empty; it may change as soon as the call returns."""
        raw = memoryview(payload).cast("B")
        if not 0 < len(raw) < 1 << 32:
            raise CheckpointError(f"a block of part {part} has {len(raw):,} bytes; a snapshot writes its state in "
                                  "blocks of 1 to 4,294,967,295 bytes, of about 1 MB")
        stored = self._packed(raw)
        self._index += _ENTRY.pack(part, len(raw), len(stored), 0, _checksum(raw, stored))
        self._stored_bytes += len(stored)
        if len(stored) <= _SMALL_BYTES or self._length() <= self._inline_bytes_max:
            self._waiting += stored
        else:
            self._flush().write(stored)
        if len(self._waiting) > max(self._inline_bytes_max, 16 * _SMALL_BYTES):
            self._flush()
        faultpoint.reached("upload.block")

    def finish(self) -> SegmentRef:
        """The segment is complete, and durable when it is a file."""
        from xxhash import xxh3_64

        footer = _FOOTER.pack(_END_MAGIC, len(self._index) // _ENTRY.size, 0)[:8]
        hasher = xxh3_64(self._header)
        hasher.update(self._index)
        hasher.update(footer)
        digest = hasher.intdigest()
        length = self._length()
        self._waiting += self._index
        self._waiting += footer + digest.to_bytes(8, "little")
        if length <= self._inline_bytes_max:
            ref = SegmentRef(None, length, digest, self._since, self._epoch, bytes(self._waiting))
        else:
            file = self._flush()
            file.sync()
            faultpoint.reached("upload.synced")
            file.publish()
            self._file = None
            ref = SegmentRef(self._path, length, digest, self._since, self._epoch)
        faultpoint.reached("upload.done")
        return ref

    def abort(self) -> None:
        """Nothing is left of the segment; never raises. No effect after finish()."""
        if self._file is not None:
            self._file.abort()
            self._file = None

    def _packed(self, raw: memoryview) -> memoryview:
        if self._codec is not None and len(raw) <= COMPRESSED_RAW_BYTES_MAX:
            packed = self._codec.compress(pa.py_buffer(raw))
            if len(packed) < len(raw):
                return memoryview(packed)[: len(packed)]  # the view has all that was allocated for it
        return raw

    def _length(self) -> int:
        """Bytes of the segment if it ended here."""
        return self._stored_bytes + len(self._index) + _FOOTER.size

    def _flush(self) -> FileWriter:
        if self._file is None:
            self._file = self._store.create(self._path)
        if self._waiting:
            self._file.write(self._waiting)
            self._waiting = bytearray()
        return self._file


class Block(NamedTuple):
    """A block of a segment that is open. offset : in the segment."""

    part: int
    raw_bytes: int
    stored_bytes: int
    checksum: int
    offset: int


class OpenSegment:
    """A segment whose header and index are checked; its payloads are not yet.

    StateFormatError : it is damaged, foreign, of a newer version, or not the one that `ref` means
    CheckpointStorageError : it cannot be read
    """

    def __init__(self, store: Store, ref: SegmentRef) -> None:
        self.name = f"segment '{store.name_of(ref.path)}'" if ref.path is not None else "an inline segment"
        self._read_bytes = store.read_bytes
        self._file = self._open(store, ref)
        try:
            self.blocks = self._checked(ref)
        except BaseException:
            self._file.close()
            raise

    def close(self) -> None:
        self._file.close()

    def stored(self, parts: Container[int] | None = None) -> Iterator[tuple[int, memoryview]]:
        """(number, bytes as they are stored) of each block in its turn; read in runs of some megabytes.

        parts : only blocks of these
        """
        numbers = [i for i, block in enumerate(self.blocks) if parts is None or block.part in parts]
        start = 0
        while start < len(numbers):
            first = numbers[start]
            end, length = start, 0
            while end < len(numbers) and numbers[end] - first == end - start and (
                    end == start or length + self.blocks[numbers[end]].stored_bytes <= self._read_bytes):
                length += self.blocks[numbers[end]].stored_bytes
                end += 1
            offset = self.blocks[first].offset
            run = self._file.read(offset, length)
            for number in numbers[start:end]:
                block = self.blocks[number]
                yield number, run[block.offset - offset : block.offset - offset + block.stored_bytes]
            start = end

    def payload(self, number: int, stored: memoryview) -> memoryview:
        """The payload of a block, checked. StateFormatError when it is not what was written."""
        block = self.blocks[number]
        raw = stored
        if block.stored_bytes < block.raw_bytes:
            try:
                unpacked = self._codec.decompress(pa.py_buffer(stored), decompressed_size=block.raw_bytes)
                raw = memoryview(unpacked).cast("B")  # an Arrow buffer is one of signed bytes
            except (OSError, ValueError) as error:
                raise self._damaged(f"block {number} of part {block.part} does not decompress: {error}") from error
        if _checksum(raw, stored) != block.checksum:
            raise self._damaged(f"block {number} of part {block.part} does not have its checksum")
        return raw

    def _open(self, store: Store, ref: SegmentRef) -> FileReader:
        if ref.path is None:
            file: FileReader = MemoryReader(memoryview(ref.inline), self.name)
        else:
            try:
                file = store.open(ref.path)
            except FileNotFoundError as error:
                raise StateFormatError(f"{self.name} is missing; put it back, or restore from another "
                                       "checkpoint") from error
        if file.size != ref.bytes:
            file.close()
            raise self._damaged(f"it has {file.size:,} bytes, and had {ref.bytes:,} when it was written")
        return file

    def _checked(self, ref: SegmentRef) -> list[Block]:
        from xxhash import xxh3_64

        if ref.bytes < _HEADER.size + _FOOTER.size:
            raise self._damaged(f"{ref.bytes} bytes are too few for a segment")
        header = self._file.read(0, _HEADER.size)
        magic, version, codec, reserved, since, epoch, zero = _HEADER.unpack(header)
        if magic != _MAGIC:
            raise StateFormatError(f"{self.name} is no segment of flinkcore: it begins with {bytes(magic)!r}; put the "
                                   "right file back, or restore from another checkpoint")
        if version > FORMAT_VERSION:
            raise NewerFormatError(f"{self.name} has format {version}; this flinkcore reads 1 to {FORMAT_VERSION}; "
                                   "restore with a newer flinkcore")
        names = {number: name for name, number in _CODECS.items()}
        if version < 1 or reserved or zero or codec not in names:
            raise self._damaged("its header has values that no flinkcore writes")
        if (since, epoch) != (ref.since, ref.epoch):
            raise self._damaged(f"it holds the epochs {since} to {epoch}, and {ref.since} to {ref.epoch} are expected")
        end_magic, count, digest = _FOOTER.unpack(self._file.read(ref.bytes - _FOOTER.size, _FOOTER.size))
        index_bytes = count * _ENTRY.size
        if end_magic != _END_MAGIC or index_bytes > ref.bytes - _HEADER.size - _FOOTER.size:
            raise self._damaged("its end is not that of a segment")
        index = self._file.read(ref.bytes - _FOOTER.size - index_bytes, index_bytes)
        hasher = xxh3_64(header)
        hasher.update(index)
        hasher.update(_FOOTER.pack(end_magic, count, 0)[:8])
        if not hasher.intdigest() == digest == ref.digest:
            raise self._damaged("its digest is not the one in the manifest")
        if codec != _CODECS["none"]:
            self._codec = _codec(names[codec])
        blocks: list[Block] = []
        offset = _HEADER.size
        for part, raw_bytes, stored_bytes, reserved, checksum in _ENTRY.iter_unpack(index):
            packed = stored_bytes < raw_bytes
            if (not 0 < stored_bytes <= raw_bytes or reserved
                    or (packed and (codec == _CODECS["none"] or raw_bytes > COMPRESSED_RAW_BYTES_MAX))):
                raise self._damaged(f"block {len(blocks)} has lengths that no flinkcore writes")
            blocks.append(Block(part, raw_bytes, stored_bytes, checksum, offset))
            offset += stored_bytes
        if offset != ref.bytes - _FOOTER.size - index_bytes:
            raise self._damaged("the lengths of its blocks do not add up to its own")
        return blocks

    def _damaged(self, what: str) -> StateFormatError:
        return StateFormatError(f"{self.name} is damaged: {what}; put the original file back, or restore from another "
                                "checkpoint")


def read_segment(
    store: Store, ref: SegmentRef, parts: Container[int] | None = None
) -> Iterator[tuple[int, memoryview]]:
    """The blocks of a segment, (part number, payload), each checked before it is given.

    parts : only blocks of these
    StateFormatError : it is damaged, foreign, missing, of a newer version, or not the one that `ref` means
    CheckpointStorageError : it cannot be read
    """
    segment = OpenSegment(store, ref)
    try:
        for number, stored in segment.stored(parts):
            yield segment.blocks[number].part, segment.payload(number, stored)
    finally:
        segment.close()


def faults_of_segment(store: Store, ref: SegmentRef) -> Iterator[str]:
    """Reads a segment from its start to its end; what is wrong with it, each fault for itself."""
    try:
        segment = OpenSegment(store, ref)
    except StateFormatError as error:
        yield str(error)
        return
    try:
        for number, stored in segment.stored():
            try:
                segment.payload(number, stored)
            except StateFormatError as error:
                yield str(error)
    finally:
        segment.close()


def _checksum(raw: memoryview, stored: memoryview) -> int:
    from xxhash import xxh3_64_intdigest

    return xxh3_64_intdigest(raw, 0 if len(stored) == len(raw) else xxh3_64_intdigest(stored))


def _codec(name: str) -> pa.Codec:
    """lz4 without the frame around it: lengths and checksums stand in the index."""
    return pa.Codec("lz4_raw") if name == "lz4" else pa.Codec("zstd", compression_level=1)
