# SPDX-License-Identifier: Apache-2.0
"""Which files an input names: a file, a folder, a glob or several of them, on any pyarrow file system."""

from __future__ import annotations

import fnmatch
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.fs as pafs

from flinkcore.errors import ConnectorError

# Compression by the end of the name. pyarrow's "lz4" reads and writes the lz4 frame format.
CODECS = {".gz": "gzip", ".gzip": "gzip", ".zst": "zstd", ".zstd": "zstd", ".bz2": "bz2", ".lz4": "lz4"}

PathLike = str | os.PathLike[str]


def codec_of(path: str) -> str | None:
    """The compression that a file's name says, None when it says none."""
    return CODECS.get(os.path.splitext(path)[1].lower())


def is_hidden(name: str) -> bool:
    """Names that are not data: hidden, in progress, or bookkeeping such as _SUCCESS (Flink: DefaultFileFilter)."""
    return name.startswith((".", "_"))


def resolve(path: PathLike, filesystem: pafs.FileSystem | None = None) -> tuple[pafs.FileSystem, str]:
    """The file system of a path or URI, and the path within it. ConnectorError when the URI cannot be used."""
    text = os.fspath(path)
    if filesystem is not None:
        return filesystem, text
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]*://?", text):
        location, question, query = text.partition("?")
        folder, rest = location, ""
        if has_magic(location):      # a glob has no place in a URI: the folder before it names the file system
            folder = re.split(r"[*\[]", location)[0].rpartition("/")[0]
            rest = location[len(folder):]
        try:
            found, inner = pafs.FileSystem.from_uri(folder + question + query)
        except (pa.ArrowException, OSError, ValueError) as error:
            raise ConnectorError(f"cannot open the file system of '{text}': {error}; known are local paths, "
                                 "file://, s3://, gs://, abfs:// and hdfs://, as pyarrow was built") from error
        return found, inner + rest
    return pafs.LocalFileSystem(), os.path.abspath(os.path.expanduser(text))


@dataclass(frozen=True)
class InputFile:
    """A file to read, as it was when it was found.

    size : bytes; mtime_ns : time of the last change, 0 when the file system does not say
    """

    filesystem: pafs.FileSystem
    path: str
    size: int
    mtime_ns: int = 0

    @property
    def codec(self) -> str | None:
        return codec_of(self.path)

    def open(self) -> pa.NativeFile:
        """The bytes as stored, with random access. ConnectorError when the file cannot be read."""
        with reading(self.path):
            return self.filesystem.open_input_file(self.path)

    def open_stream(self) -> pa.NativeFile:
        """The bytes after decompression, from the first to the last."""
        file = self.open()
        return pa.CompressedInputStream(file, self.codec) if self.codec else file


class reading:
    """Turns what pyarrow raises while a file is read into one error that names the file and what to do."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        foreign = (OSError, pa.ArrowException, UnicodeDecodeError)
        if isinstance(error, ConnectorError) or not isinstance(error, foreign):
            return
        if isinstance(error, FileNotFoundError):
            advice = "it is gone since the source listed it; keep input files in place while the job runs"
        elif isinstance(error, PermissionError):
            advice = "the process may not read it; change its permissions"
        elif codec := codec_of(self.path):
            advice = (f"its name says {codec}, but the data is cut off or is not {codec}; "
                      f"check it with the command line tool, or write it again")
        else:
            advice = "the file is damaged or unreadable; write it again or remove it from the input"
        raise ConnectorError(f"cannot read '{self.path}': {first_line(error)}; {advice}") from error


def first_line(error: BaseException) -> str:
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return text.strip().splitlines()[0] if text.strip() else type(error).__name__


def find_files(paths: Sequence[str], filesystem: pafs.FileSystem, *, recursive: bool = True,
               may_be_empty: bool = False) -> list[InputFile]:
    """The files that paths name, each once: files of a folder by path, inputs in the order given.

    recursive : whether a folder's folders are searched too
    may_be_empty : whether a folder without files, or a glob without matches, is fine (for continuous
        discovery)
    ConnectorError : a path does not exist, cannot be listed, or names no file
    """
    found: dict[str, InputFile] = {}
    for path in paths:
        files = list(_files_of(filesystem, path, recursive))
        if not files and not may_be_empty:
            raise ConnectorError(_nothing(path, recursive))
        for file in files:
            found.setdefault(file.path, file)
    return list(found.values())


def _nothing(path: str, recursive: bool) -> str:
    if has_magic(path):
        return (f"no file matches '{path}'; check the pattern (names starting with . or _ are never matched "
                "by * or ?)")
    where = "or its folders" if recursive else "itself (recursive is off)"
    return (f"folder '{path}' holds no file to read in it {where}; names starting with . or _ are ignored. "
            f"To wait for files, monitor it continuously")


def has_magic(path: str) -> bool:
    return any(c in path for c in "*?[")


def _files_of(filesystem: pafs.FileSystem, path: str, recursive: bool) -> Iterator[InputFile]:
    info = _info(filesystem, path)
    if info.type == pafs.FileType.NotFound:
        if not has_magic(path):
            raise ConnectorError(f"no such file or folder: '{path}'; give an existing path, a glob or a URI")
        parts = path.split("/")
        first = next(i for i, part in enumerate(parts) if has_magic(part))
        for match in _expand(filesystem, "/".join(parts[:first]) or "/", parts[first:]):
            yield from _below(filesystem, match, recursive)
    else:
        yield from _below(filesystem, info, recursive)


def _below(filesystem: pafs.FileSystem, info: pafs.FileInfo, recursive: bool) -> Iterator[InputFile]:
    if info.type == pafs.FileType.File:
        yield InputFile(filesystem, info.path, info.size, info.mtime_ns or 0)
    elif info.type == pafs.FileType.Directory:
        for child in _children(filesystem, info.path):
            if not is_hidden(child.base_name) and (recursive or child.type == pafs.FileType.File):
                yield from _below(filesystem, child, recursive)


def _expand(filesystem: pafs.FileSystem, folder: str, parts: list[str]) -> Iterator[pafs.FileInfo]:
    """What a glob names. `**` stands for any number of folders, as in Python's glob."""
    part, rest = parts[0], parts[1:]
    if part == "**":
        if rest:
            yield from _expand(filesystem, folder, rest)
        for child in _children(filesystem, folder):
            if child.type == pafs.FileType.Directory and not is_hidden(child.base_name):
                yield from _expand(filesystem, child.path, parts)
            elif not rest and not is_hidden(child.base_name):
                yield child
        return
    for child in _children(filesystem, folder):
        name = child.base_name
        if not fnmatch.fnmatchcase(name, part) or (is_hidden(name) and not is_hidden(part)):
            continue
        if not rest:
            yield child
        elif child.type == pafs.FileType.Directory:
            yield from _expand(filesystem, child.path, rest)


def _info(filesystem: pafs.FileSystem, path: str) -> pafs.FileInfo:
    with reading(path):
        return filesystem.get_file_info(path)


def _children(filesystem: pafs.FileSystem, folder: str) -> Iterable[pafs.FileInfo]:
    try:
        children = filesystem.get_file_info(pafs.FileSelector(folder, allow_not_found=True))
    except (OSError, pa.ArrowException) as error:
        raise ConnectorError(f"cannot list folder '{folder}': {first_line(error)}; check its "
                             "permissions") from error
    return sorted(children, key=lambda info: info.path)
