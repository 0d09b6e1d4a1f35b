# SPDX-License-Identifier: Apache-2.0
"""FileSink: a stream as part files that become visible only when they are complete.

A writer appends to hidden files, `.<part>.inprogress.<owner>`; closing one prepares it, and the committer's
rename gives it its name, `<prefix>-<run>-<subtask>-<counter><suffix>`. The run's id keeps the names of any two
attempts apart (Flink's writers have a random uid there). Whoever reads the folder, as our own FileSource does,
passes over hidden files, so it sees each part once and whole.

The owner is the job and the operator. After its first checkpoint, an attempt removes the hidden files of that owner
that no writer of its own has: all that the restored checkpoint held has its name by then, and the records of the rest
were written again. Hidden files of other owners are reported.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.fs as pafs

from flinkcore import faultpoint
from flinkcore.columnar.batch import Batch
from flinkcore.connectors.base import Committer, Sink, SinkContext, SinkWriter
from flinkcore.connectors.files.buckets import BasePathBuckets, BucketAssigner
from flinkcore.connectors.files.compaction import PREFIX, CompactedFile, Compaction, Compactor, WaitingFile
from flinkcore.connectors.files.format import FileEncoder, WriterFormat
from flinkcore.connectors.files.part import IN_PROGRESS, PendingFile, hidden_path, is_hidden_of
from flinkcore.connectors.files.paths import CODECS, PathLike, first_line, resolve
from flinkcore.errors import ConfigurationError, ConnectorError, StateFormatError

log = logging.getLogger(__name__)

@dataclass(frozen=True)
class RollingPolicy:
    """When a part file is closed and the next one begun; beyond this, at each checkpoint and at the end.
    None: never.

    part_size : bytes written; a file may exceed it by one batch
    rollover_interval_ms, inactivity_interval_ms : processing time since the file was begun, and since its
        last record
    """

    part_size: int | None = 128 << 20
    rollover_interval_ms: int | None = 60_000
    inactivity_interval_ms: int | None = 60_000

    def __post_init__(self) -> None:
        for what, value in (("part_size", self.part_size), ("rollover_interval", self.rollover_interval_ms),
                            ("inactivity_interval", self.inactivity_interval_ms)):
            if value is not None and value <= 0:
                raise ConfigurationError(f"{what} of a rolling policy must be positive, got {value}")

    def is_full(self, size: int) -> bool:
        return self.part_size is not None and size >= self.part_size

    def is_due(self, begun_ms: int, written_ms: int, now_ms: int) -> bool:
        return _has_passed(self.rollover_interval_ms, now_ms - begun_ms) or _has_passed(
            self.inactivity_interval_ms, now_ms - written_ms)


def _has_passed(interval_ms: int | None, elapsed_ms: int) -> bool:
    return interval_ms is not None and elapsed_ms >= interval_ms


class FileSink(Sink):
    """Writes records to part files below a folder.

    base_path : a folder, local or a URI of a pyarrow file system; made when it is missing
    format : a WriterFormat, e.g. CsvWriter(header=True), JsonWriter(), ParquetWriter()
    rolling : when to close a part file
    buckets : which folder below base_path a record goes to
    part_prefix, part_suffix : of the files' names; the suffix is the format's unless it is given
    compression : "gzip", "zstd", "bz2" or "lz4" for files of lines; its suffix is added to the name
    check_interval_ms : how often the policy's intervals are looked at
    compaction : when and how part files are joined before they are committed; None: they are not
    commits_unasked : whether a job without checkpoints commits files as they are complete, and at its end. When not,
        they stay hidden, as those of Flink's StreamingFileSink do
    """

    takes_batches = True
    committable_types = (PendingFile, CompactedFile)
    writer_state_types = (WaitingFile, PendingFile)

    def __init__(self, base_path: PathLike, format: WriterFormat, *, rolling: RollingPolicy | None = None,
                 buckets: BucketAssigner | None = None, part_prefix: str = "part",
                 part_suffix: str | None = None, compression: str | None = None,
                 check_interval_ms: int = 60_000, filesystem: pafs.FileSystem | None = None,
                 compaction: Compaction | None = None, commits_unasked: bool = True) -> None:
        if not isinstance(format, WriterFormat):
            raise ConfigurationError("a file sink writes in a WriterFormat, e.g. CsvWriter(header=True), JsonWriter() "
                                     f"or ParquetWriter(), got {format!r}")
        if compression is not None and (compression not in CODECS.values() or not format.compressible):
            raise ConfigurationError("compression of a file sink is gzip, zstd, bz2 or lz4, for text, CSV "
                                     f"and JSON; got {compression!r} for {format.name}, see the format's own "
                                     "options")
        if not part_prefix or part_prefix.startswith((".", "_")) or "/" in part_prefix:
            raise ConfigurationError("part files' prefix must not be empty, begin with . or _ (readers pass "
                                     f"over such files) or hold a /, got {part_prefix!r}")
        if check_interval_ms <= 0:
            raise ConfigurationError("the check interval of a file sink must be positive, got "
                                     f"{check_interval_ms} ms")
        if compaction is not None and compaction.joins and not format.joinable:
            raise ConfigurationError(f"files of {format.name} cannot be joined byte by byte; have fewer of them with "
                                     "another rolling policy or fewer checkpoints, or write lines")
        if compaction is not None and compaction.delimiter and compression is not None:
            raise ConfigurationError(f"{compaction.delimiter!r} cannot stand between files compressed with "
                                     f"{compression}; join them without a delimiter")
        self.base_path = os.fspath(base_path)
        self.format = format
        self.rolling = rolling or RollingPolicy()
        self.buckets = buckets or BasePathBuckets()
        self.part_prefix = part_prefix
        ending = {"gzip": ".gz", "zstd": ".zst", "bz2": ".bz2", "lz4": ".lz4"}.get(compression or "", "")
        self.part_suffix = (format.suffix if part_suffix is None else part_suffix) + ending
        self.compression = compression
        self.check_interval_ms = check_interval_ms
        self.compaction = compaction
        self.commits_unasked = commits_unasked
        self.kept: set[str] = set()       # hidden files of earlier attempts that writers hold in their state
        self.runs: set[str] = set()       # of the writers that are open: their hidden files are not left over
        self.filesystem, self.folder = resolve(base_path, filesystem)
        self.folder = self.folder.rstrip("/") or "/"

    def create_writer(self, context: SinkContext) -> SinkWriter:
        return self.restore_writer(context, [])

    def restore_writer(self, context: SinkContext, recovered_state: list[Any]) -> SinkWriter:
        self.kept |= {file.pending.hidden for file in recovered_state}
        self.runs.add(context.run_id)
        self.format.bind(context.schema)
        self.buckets.bind(context.schema)
        self._check_writable(context)
        if context.subtask_index == 0:
            self._report_leftovers(context)
        return FileWriter(self, context, recovered_state)

    def remove_leftovers(self, context: SinkContext) -> None:
        if not context.job_id:
            return
        # Listed first: whoever has begun a file by then is in `runs`.
        paths = [path for path in self._hidden_files() if path.endswith(IN_PROGRESS + owner_of(context))]
        runs = [f"-{run}-" for run in list(self.runs)]
        left = [path for path in paths if path not in self.kept
                and not any(run in os.path.basename(path) for run in runs)]
        for path in left:
            try:
                self.filesystem.delete_file(path)
            except (OSError, pa.ArrowException) as error:
                log.warning("cannot remove '%s', which an earlier attempt left unfinished: %s; it is hidden from "
                            "readers", path, first_line(error))
        if left:
            context.metrics.count("leftover_files_removed", len(left))
            log.info("%d part files in '%s' that earlier attempts of this job left unfinished are removed",
                     len(left), self.base_path)

    def create_committer(self) -> Committer:
        return FileCommitter(self)

    def _check_writable(self, context: SinkContext) -> None:
        probe = hidden_path(f"{self.folder}/{part_name(self, context, 'probe')}") + owner_of(context)
        with writing(self.base_path):
            self.filesystem.create_dir(self.folder, recursive=True)
            self.filesystem.open_output_stream(probe).close()
            self.filesystem.delete_file(probe)

    def _report_leftovers(self, context: SinkContext) -> None:
        """Names hidden files of other jobs. They are not removed: those may be writing to the same folder."""
        left = [path for path in self._hidden_files() if not path.endswith(IN_PROGRESS + owner_of(context))
                and not any(f"-{run}-" in os.path.basename(path) for run in list(self.runs))]
        if left:
            context.metrics.count("leftover_files", len(left))
            log.warning("%d part files in '%s' were left unfinished by an earlier run, the first is '%s'. "
                        "They are hidden from readers, and can be removed when no other job writes there.",
                        len(left), self.base_path, left[0])

    def _hidden_files(self) -> Iterator[str]:
        for info in self.filesystem.get_file_info(pafs.FileSelector(self.folder, recursive=True)):
            name = info.base_name.replace(f".{PREFIX}", ".", 1)
            if name.startswith(f".{self.part_prefix}-") and IN_PROGRESS in name:
                yield info.path


def part_name(sink: FileSink, context: SinkContext, number: object) -> str:
    return f"{sink.part_prefix}-{context.run_id}-{context.subtask_index}-{number}{sink.part_suffix}"


def owner_of(context: SinkContext) -> str:
    """Whose a hidden file is: the end of its name."""
    return f"{context.job_id}-{context.operator_id}" if context.job_id else context.run_id


class writing:
    """Turns what pyarrow raises while a file is written into one error that names the path and what to do."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, (OSError, pa.ArrowException)) and not isinstance(error, ConnectorError):
            text = first_line(error)
            raise ConnectorError(f"cannot write to '{self.path}': {text}; give a folder that this process "
                                 f"may write to, on a disk with room") from error


class PartFile:
    """One file that is being written."""

    def __init__(self, sink: FileSink, context: SinkContext, bucket: str, number: int, now_ms: int) -> None:
        folder = f"{sink.folder}/{bucket}" if bucket else sink.folder
        path = f"{folder}/{part_name(sink, context, number)}"
        self.pending = PendingFile(hidden_path(path) + owner_of(context), path)
        self.sink = sink
        self.begun_ms = now_ms
        self.written_ms = now_ms
        with writing(self.pending.hidden):
            sink.filesystem.create_dir(folder, recursive=True)
            self.raw = sink.filesystem.open_output_stream(self.pending.hidden)
            self.stream = self.raw
            if sink.compression:
                self.stream = pa.CompressedOutputStream(self.raw, sink.compression)
            self.encoder: FileEncoder = sink.format.open(self.stream, context.schema)

    def write(self, batch: Batch, now_ms: int) -> None:
        with writing(self.pending.hidden):
            self.encoder.write(batch)
        self.written_ms = now_ms

    def size(self) -> int:
        return self.raw.tell()

    def finish(self) -> PendingFile:
        """Completes the file, still hidden."""
        with writing(self.pending.hidden):
            self.encoder.finish()
            self.stream.close()
            self.raw.close()
        return self.pending

    def abandon(self) -> None:
        """Closes and removes the file, as far as that can be done."""
        for close in (self.encoder.finish, self.stream.close, self.raw.close):
            with suppress(OSError, pa.ArrowException):
                close()
        try:
            self.sink.filesystem.delete_file(self.pending.hidden)
        except (OSError, pa.ArrowException) as error:
            log.warning("cannot remove the unfinished '%s': %s; it is hidden from "
                        "readers", self.pending.hidden, error)


def sync(path: str) -> None:
    """Waits until the operating system has a file or folder on its disk."""
    with writing(path):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


class FileWriter(SinkWriter):
    """The part files of one subtask: at most one open in each bucket."""

    def __init__(self, sink: FileSink, context: SinkContext, waiting: Sequence[WaitingFile] = ()) -> None:
        self.sink = sink
        self.context = context
        self.parts: dict[str, PartFile] = {}
        self.finished: list[PendingFile] = []
        self.compactor: Compactor | None = None
        if sink.compaction is None:
            self.finished += [file.pending for file in waiting]      # compaction was switched off
        else:
            self.compactor = Compactor(sink.compaction, owner_of(context), waiting)
        self.unsynced: list[PendingFile] = []      # files that wait, and a checkpoint may not be complete without
        self.compacted: list[CompactedFile] = []
        self.count = 0
        self.at_end = False
        self.next_check_ms: int | None = None

    def write_batch(self, batch: Batch) -> None:
        now_ms = self.context.clock.now_ms()
        for bucket, rows in self.sink.buckets.buckets(batch, now_ms):
            if not rows.num_rows:
                continue
            part = self.parts.get(bucket)
            if part is None:
                part = self.parts[bucket] = PartFile(self.sink, self.context, bucket, self.count, now_ms)
                self.count += 1
            part.write(rows, now_ms)
            if self.sink.rolling.is_full(part.size()):
                self._finish(bucket)
        self._ask_for_check(now_ms)

    def on_timer(self, now_ms: int) -> None:
        self.next_check_ms = None
        for bucket, part in list(self.parts.items()):
            if self.sink.rolling.is_due(part.begun_ms, part.written_ms, now_ms):
                self._finish(bucket)
        self._ask_for_check(now_ms)

    def flush(self, end_of_input: bool) -> None:
        self.at_end = end_of_input

    def prepare_commit(self) -> list[Any]:
        for bucket in list(self.parts):
            self._finish(bucket)
        if self.at_end and not self.commits:
            log.warning("%d part files in '%s' stay hidden: the job makes no checkpoints, and this sink commits with "
                        "them alone. Enable checkpoints, or write with FileSink", len(self.finished),
                        self.sink.base_path)
            return []
        if self.compactor is not None:
            self.compacted += self.compactor.take_due(not self.at_end, self.at_end)
        return self._take()

    def take_finished(self) -> list[Any]:
        if not self.commits:
            return []
        if self.compactor is not None:
            self.compacted += self.compactor.take_due(False, False)
        return self._take()

    def snapshot_state(self, checkpoint_id: int) -> list[WaitingFile]:
        return [] if self.compactor is None else self.compactor.waiting

    @property
    def commits(self) -> bool:
        """Whether what is complete is committed now or later, and not left hidden."""
        return self.sink.commits_unasked or self.context.checkpointing

    def persist(self, committables: list[Any]) -> None:
        filesystem = self.sink.filesystem
        for committable in committables:
            if isinstance(committable, CompactedFile):
                with writing(committable.hidden):
                    committable.join(filesystem)
        waiting, self.unsynced = self.unsynced, []
        if isinstance(filesystem, pafs.LocalFileSystem):    # others have a file when it is closed
            hidden = [pending.hidden for pending in (*committables, *waiting)]
            for path in hidden:
                if os.path.exists(path):      # one that waited may have been joined and removed since
                    sync(path)
            for folder in set(map(os.path.dirname, hidden)):
                sync(folder)

    def close(self) -> None:
        self.sink.runs.discard(self.context.run_id)
        for part in self.parts.values():
            part.abandon()
        self.parts.clear()
        if self.commits:
            for pending in self.finished:      # handed to no one, so no checkpoint has them
                self.sink.filesystem.delete_file(pending.hidden)

    def _finish(self, bucket: str) -> None:
        """Completes the open file of a bucket."""
        part = self.parts.pop(bucket)
        size, pending = part.size(), part.finish()
        if self.compactor is None:
            self.finished.append(pending)
        else:
            self.compactor.waiting.append(WaitingFile(bucket, pending, size))
            self.unsynced.append(pending)

    def _take(self) -> list[Any]:
        taken: list[Any] = [*self.finished, *self.compacted]
        self.finished, self.compacted = [], []
        return taken

    def _ask_for_check(self, now_ms: int) -> None:
        if self.parts and self.next_check_ms is None:
            self.next_check_ms = now_ms + self.sink.check_interval_ms
            self.context.register_timer(self.next_check_ms)


class FileCommitter(Committer):
    """Gives complete files their names. On a local disk, and wherever else a rename is one step, a reader
    sees all of a file or nothing."""

    def __init__(self, sink: FileSink) -> None:
        self.sink = sink

    def commit(self, committables: list[Any]) -> None:
        filesystem = self.sink.filesystem
        for pending in committables:
            if not is_hidden_of(pending.hidden, pending.path):
                raise StateFormatError(f"'{pending.hidden}' is no unfinished part of '{pending.path}': the "
                                       "checkpoint that says so is damaged")
            with writing(pending.path):
                hidden, path = filesystem.get_file_info([pending.hidden, pending.path])
                if hidden.type == pafs.FileType.File:
                    filesystem.move(pending.hidden, pending.path)
                    faultpoint.reached("commit.moved")
                elif path.type != pafs.FileType.File:
                    raise ConnectorError(f"cannot commit '{pending.path}': its data, '{pending.hidden}', is "
                                         "gone. Records are lost; restore the file, or go back to an "
                                         "earlier checkpoint. If somebody has taken the committed file away, put "
                                         "it back until the job has made a checkpoint")
                if isinstance(pending, CompactedFile):
                    pending.remove_inputs(filesystem)
        if isinstance(filesystem, pafs.LocalFileSystem):
            for folder in {os.path.dirname(pending.path) for pending in committables}:
                sync(folder)
