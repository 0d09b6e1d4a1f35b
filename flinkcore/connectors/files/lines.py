# SPDX-License-Identifier: Apache-2.0
"""Files of lines: cut at line boundaries, parsed many lines at once, and line by line only around a fault.

A line belongs to the split in which its first byte lies, so any byte may be a split's border. The reader's
position is the offset of the first line that it has not returned, exact after every read.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pyarrow as pa

from flinkcore.columnar.batch import Batch
from flinkcore.columnar.schema import Schema
from flinkcore.connectors.base import SourceContext, SourceReader
from flinkcore.connectors.files.format import WHOLE, FileSplit, ReaderFormat
from flinkcore.connectors.files.paths import InputFile, reading
from flinkcore.errors import DataError

BLOCK_BYTES = 1 << 20
# A longer line is no line: a binary file, or a quote that is never closed.
LINE_BYTES_MAX = 64 << 20
NEWLINE = 10
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class LineFault(Exception):
    """Lines that do not parse as they should. `str()` is the reason when there is one line."""


class LineFormat(ReaderFormat):
    """The base of formats whose records are lines.

    charset : encoding of the files; anything but UTF-8 is converted as it is read, and such a file is not
        split
    """

    charset: str = "utf-8"

    def record_quote(self) -> str | None:
        """The character within a pair of which a newline does not end a record, None when every newline does.
        With it a file is not split, since only its beginning tells what is inside quotes."""
        return None

    @abstractmethod
    def parse(self, data: bytes, count: int, layout: object) -> pa.RecordBatch:
        """Parses `count` records. LineFault, ArrowInvalid or UnicodeDecodeError when any of them is at fault,
        with the reason when count is 1. Blank lines give no row where the format says so."""

    def layout(self, file: InputFile, schema: Schema, inferred: bool) -> tuple[object, int]:
        """What parse needs to know of a file, and the byte at which its data begin."""
        return self.lines_layout(schema), 0

    def lines_layout(self, schema: Schema) -> object:
        """What parse needs to know of lines that are in no file: columns by position, or by the names of fields."""
        return schema

    def split(self, file: InputFile, split_bytes: int) -> list[FileSplit]:
        if file.codec or self.record_quote() or not is_utf8(self.charset):
            return [FileSplit.of(file)]
        return [FileSplit.of(file, start, min(start + split_bytes, file.size), part=True)
                for start in range(0, file.size, split_bytes)]

    def open(self, file: InputFile, split: FileSplit, schema: Schema, inferred: bool,
             context: SourceContext) -> SourceReader:
        return LineReader(self, file, split, schema, inferred, context)

    def open_bytes(self, file: InputFile) -> pa.NativeFile:
        """The file as UTF-8 bytes."""
        stream = file.open_stream()
        return stream if is_utf8(self.charset) else pa.transcoding_input_stream(stream, self.charset, "utf-8")


def is_utf8(charset: str) -> bool:
    return charset.lower().replace("_", "-") in ("utf-8", "utf8", "us-ascii", "ascii")


class Records:
    """Whole records of a stream, many at a time, with the offset of each.

    start : offset of the first byte; when it is not 0, records begin after the first newline at or after
        start - 1
    end : records that begin at or after this offset are left out
    """

    def __init__(self, stream: pa.NativeFile, path: str, start: int, end: int, quote: str | None) -> None:
        self.stream = stream
        self.path = path
        self.end = end
        self.quote = ord(quote) if quote else None
        self.block = b""
        self.ends = np.empty(0, np.int64)      # offset in the block of the byte after each record
        self.next = 0                          # first record in `ends` that was not taken
        self.at_end = False
        self.offset = max(start - 1, 0)        # of the block's first byte
        with reading(path):
            _skip(stream, self.offset)
            if start > 0:
                self.take(1)                   # the rest of a line that belongs to the split before
            else:
                self._fill(0)
                if self.block.startswith(BYTE_ORDER_MARK):
                    self.block = self.block[len(BYTE_ORDER_MARK):]
                    self.ends = self.ends - len(BYTE_ORDER_MARK)
                    self.offset += len(BYTE_ORDER_MARK)

    @property
    def position(self) -> int:
        """Offset of the first record not taken."""
        return self.offset + self._taken_bytes()

    def take(self, count_max: int) -> tuple[bytes, np.ndarray]:
        """At most `count_max` records: their bytes, and where each ends in them. Empty at the end."""
        with reading(self.path):
            if self.next == len(self.ends) and not self.at_end and self.position < self.end:
                self._fill(self._taken_bytes())
        start = self._taken_bytes()
        last = min(self.next + count_max, len(self.ends))
        if self.offset + int(self.ends[last - 1] if last else 0) > self.end:    # some may begin beyond it
            begins = np.concatenate([[start], self.ends[self.next:last - 1]]) + self.offset
            last = self.next + int(np.searchsorted(begins, self.end))
        if last <= self.next:
            return b"", np.empty(0, np.int64)
        ends = self.ends[self.next:last] - start
        self.next = last
        return self.block[start:start + int(ends[-1])], ends

    def _taken_bytes(self) -> int:
        return int(self.ends[self.next - 1]) if self.next else 0

    def _fill(self, taken: int) -> None:
        """Drops the records taken and reads on until there is a whole one, or the stream ends."""
        rest = self.block[taken:]
        self.offset += taken
        self.next = 0
        while True:
            data = self.stream.read(max(BLOCK_BYTES, len(rest)))      # doubling scans a long line in O(n)
            if not data:
                self.at_end = True
            self.block = rest + data
            self.ends = self._record_ends()
            if self.at_end and self.block and (not len(self.ends) or self.ends[-1] < len(self.block)):
                self.ends = np.append(self.ends, len(self.block))     # the last line, without a newline
            if len(self.ends) or self.at_end:
                return
            rest = self.block
            if len(rest) > LINE_BYTES_MAX:
                raise DataError(f"'{self.path}': the record at byte {self.offset} has more than "
                                f"{LINE_BYTES_MAX} bytes; the file may be binary, or a quote may never be "
                                "closed")

    def _record_ends(self) -> np.ndarray:
        bytes_ = np.frombuffer(self.block, np.uint8)
        ends = np.flatnonzero(bytes_ == NEWLINE) + 1
        if self.quote is None or not len(ends):
            return ends
        quotes = np.flatnonzero(bytes_ == self.quote)
        return ends[np.searchsorted(quotes, ends) % 2 == 0]           # an even number of quotes before it


def _skip(stream: pa.NativeFile, count: int) -> None:
    """Moves to byte `count` of a stream at its start; a stream that cannot seek is read."""
    if count == 0:
        return
    if stream.seekable():
        stream.seek(count)
        return
    while count > 0:
        data = stream.read(min(count, BLOCK_BYTES))
        if not data:
            return
        count -= len(data)


class LineReader(SourceReader):
    """Rows of the lines of one split."""

    def __init__(self, format: LineFormat, file: InputFile, split: FileSplit, schema: Schema, inferred: bool,
                 context: SourceContext) -> None:
        self.format = format
        self.file = file
        self.split = split
        self.schema = schema
        self.context = context
        self.layout, begin = format.layout(file, schema, inferred)
        self.stream = format.open_bytes(file)
        start = max(split.start, begin)
        self.records = Records(self.stream, file.path, start, split.end, format.record_quote())
        self.started = False
        self.lines_before = (0, 0)         # an offset, and how many lines end before it

    def read(self, max_rows: int, timeout_ms: int) -> Batch | None:
        while True:
            self.started = True
            offset = self.records.position
            data, ends = self.records.take(max_rows)
            if not len(ends):
                return None
            parts = [part for part in self._parse(data, ends, offset) if part.num_rows]
            if len(parts) == 1:
                return Batch.from_arrow(parts[0], self.schema)
            if parts:
                return Batch.from_arrow(pa.concat_batches(parts), self.schema)

    def position(self) -> FileSplit:
        return replace(self.split, start=self.records.position) if self.started else self.split

    def close(self) -> None:
        self.stream.close()

    def _parse(self, data: bytes, ends: np.ndarray, offset: int) -> Iterator[pa.RecordBatch]:
        """The rows of all records that can be read. The others are found by halving and reported, so that one
        bad line costs the logarithm of a batch, and what a bad line is has one definition: the parser's."""
        try:
            yield self.format.parse(data, len(ends), self.layout)
            return
        except (LineFault, pa.ArrowInvalid, UnicodeDecodeError) as error:
            if len(ends) == 1:
                self._report(data, offset, str(error))
                return
        middle = len(ends) // 2
        cut = int(ends[middle - 1])
        yield from self._parse(data[:cut], ends[:middle], offset)
        yield from self._parse(data[cut:], ends[middle:] - cut, offset + cut)

    def _report(self, line: bytes, offset: int, reason: str) -> None:
        text = line.rstrip(b"\r\n").decode("utf-8", "backslashreplace")
        self.context.bad_records.report(text, f"{self.file.path}, line {self._line_number(offset)}", reason)

    def _line_number(self, offset: int) -> int:
        """Lines before a byte, plus 1. Counted only when a fault is reported, from the last one on."""
        start, lines = self.lines_before
        with reading(self.file.path), self.format.open_bytes(self.file) as stream:
            _skip(stream, start)
            left = offset - start
            while left > 0:
                data = stream.read(min(left, BLOCK_BYTES))
                if not data:
                    break
                lines += data.count(b"\n")
                left -= len(data)
        self.lines_before = (offset, lines)
        return lines + 1


def first_lines(format: LineFormat, file: InputFile, bytes_max: int = BLOCK_BYTES) -> tuple[bytes, int]:
    """Whole records from the start of a file, about `bytes_max` bytes of them: for inference and headers."""
    with format.open_bytes(file) as stream:
        records = Records(stream, file.path, 0, WHOLE, format.record_quote())
        data, ends = records.take(len(records.ends))
        if len(data) > bytes_max:
            keep = max(1, int(np.searchsorted(ends, bytes_max, side="right")))
            return data[: int(ends[keep - 1])], keep
        return data, len(ends)
