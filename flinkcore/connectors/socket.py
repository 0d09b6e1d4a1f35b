# SPDX-License-Identifier: Apache-2.0
"""Text that a server sends over a TCP connection, as Flink's socketTextStream."""

from __future__ import annotations

import select
import socket

import pyarrow as pa

from flinkcore.columnar.batch import Batch
from flinkcore.columnar.schema import Schema
from flinkcore.connectors.base import (
    Boundedness,
    RangeSplit,
    Source,
    SourceContext,
    SourceReader,
    SourceSplit,
    SplitEnumerator,
    SplitQueue,
)
from flinkcore.errors import ConfigurationError, ConnectorError, DataError

RECEIVE_BYTES = 1 << 16
RECORD_BYTES_MAX = 64 << 20
CONNECT_TIMEOUT_S = 10.0
RETRY_DELAY_MS = 500


class SocketTextSource(Source):
    """The records of a text connection, between delimiters; read by one subtask, and only once.

    delimiter : what ends a record; after "\\n", a "\\r" before it is dropped too. What follows the last
        delimiter when the server closes is a record
    max_retry : how often to connect again, every 500 ms of processing time, after the connection could not be
        made or was closed: 0 ends the source then (a connection that cannot be made at the start is an
        error), -1 tries for ever
    bad_records : "fail", "drop" (and count), or the id of a side output, for records that are not UTF-8
    """

    boundedness = Boundedness.CONTINUOUS_UNBOUNDED
    schema = Schema(["value"], [pa.string()], "value")
    not_replayable = "what came over a socket is gone; write it to files or a log, and read those"
    parallelism_max = 1

    def __init__(self, hostname: str, port: int, delimiter: str = "\n", max_retry: int = 0,
                 bad_records: str = "fail") -> None:
        if not 0 < port < 65536:
            raise ConfigurationError(f"a port is between 1 and 65535, got {port}")
        if not delimiter:
            raise ConfigurationError("the delimiter of a socket stream is at least one character, got an "
                                     "empty text")
        if max_retry < -1:
            raise ConfigurationError(f"max_retry is -1 (for ever), 0 or more, got {max_retry}")
        self.hostname = hostname
        self.port = port
        self.delimiter = delimiter
        self.max_retry = max_retry
        self.bad_records = bad_records

    def create_enumerator(self, parallelism: int) -> SplitEnumerator:
        return SplitQueue([RangeSplit(f"{self.hostname}:{self.port}", 0, 2**63 - 1)])

    def create_reader(self, split: SourceSplit, context: SourceContext) -> SourceReader:
        assert isinstance(split, RangeSplit)
        return SocketReader(self, split, context)


class SocketReader(SourceReader):
    """Records as they arrive. Connects at the first read."""

    def __init__(self, source: SocketTextSource, split: RangeSplit, context: SourceContext) -> None:
        self.source = source
        self.split = split
        self.context = context
        self.delimiter = source.delimiter.encode()
        self.connection: socket.socket | None = None
        self.attempts = 0
        self.connect_ms: int | None = None      # when to connect next, None: now
        self.pending = bytearray()              # no delimiter before self.scanned
        self.scanned = 0
        self.waiting: list[bytes] = []          # whole records, to be returned
        self.finished = False
        self.rows_read = split.start

    def read(self, max_rows: int, timeout_ms: int) -> Batch | list[str] | None:
        if not self.waiting:
            if self.finished:
                return None
            self._receive(timeout_ms)
        records, self.waiting = self.waiting[:max_rows], self.waiting[max_rows:]
        first = self.rows_read + 1
        self.rows_read += len(records)
        try:
            return [record.decode() for record in records]
        except UnicodeDecodeError:
            texts = [self._decoded(record, first + i) for i, record in enumerate(records)]
            return [text for text in texts if text is not None]

    def position(self) -> SourceSplit:
        return RangeSplit(self.split.split_id, self.rows_read, self.split.end)

    def close(self) -> None:
        if self.connection is not None:
            self.connection.close()
            self.connection = None

    def _decoded(self, record: bytes, number: int) -> str | None:
        try:
            return record.decode()
        except UnicodeDecodeError as error:
            self.context.bad_records.report(record.decode("utf-8", "backslashreplace"),
                                            f"{self.split.split_id}, record "
                                            f"{number}", f"not valid UTF-8: {error.reason}")
            return None

    def _receive(self, timeout_ms: int) -> None:
        """Takes what is there; waits at most timeout_ms for it."""
        if self.connection is None and not self._connect():
            return
        assert self.connection is not None
        if not select.select([self.connection], [], [], timeout_ms / 1000)[0]:
            return
        try:
            data = self.connection.recv(RECEIVE_BYTES)
        except OSError as error:
            self._lost(error)
            return
        if not data:
            self._lost(None)
            return
        self.attempts = 0
        self._append(data)

    def _append(self, data: bytes) -> None:
        self.pending += data
        last = self.pending.rfind(self.delimiter, max(0, self.scanned - len(self.delimiter) + 1))
        if last < 0:
            self.scanned = len(self.pending)
            if len(self.pending) > RECORD_BYTES_MAX:
                raise DataError(f"'{self.split.split_id}' sent {len(self.pending)} bytes without the "
                                f"delimiter {self.source.delimiter!r}; set the delimiter that the server "
                                "uses")
            return
        whole, self.pending = bytes(self.pending[:last]), self.pending[last + len(self.delimiter):]
        self.scanned = len(self.pending)
        self.waiting.extend(self._stripped(record) for record in whole.split(self.delimiter))

    def _stripped(self, record: bytes) -> bytes:
        return record[:-1] if self.delimiter == b"\n" and record.endswith(b"\r") else record

    def _connect(self) -> bool:
        """Connects when it is time to; whether there is a connection."""
        if self.connect_ms is not None and self.context.clock.now_ms() < self.connect_ms:
            return False
        try:
            address = (self.source.hostname, self.source.port)
            self.connection = socket.create_connection(address, CONNECT_TIMEOUT_S)
        except OSError as error:
            self._lost(error)
            return False
        self.connection.setblocking(False)
        return True

    def _lost(self, error: OSError | None) -> None:
        """The connection was closed (error is None) or failed: tries again later, or ends."""
        self.close()
        if self.pending:
            self.waiting.append(self._stripped(bytes(self.pending)))
            self.pending.clear()
            self.scanned = 0
        if self.source.max_retry == -1 or self.attempts < self.source.max_retry:
            self.attempts += 1
            self.connect_ms = self.context.clock.now_ms() + RETRY_DELAY_MS
            return
        if error is not None:
            raise ConnectorError(f"cannot read from {self.split.split_id}: {error.strerror or error}; start "
                                 f"a server there (for a try: nc -lk {self.source.port}), or set "
                                 "max_retry") from error
        self.finished = True
