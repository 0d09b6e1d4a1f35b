# SPDX-License-Identifier: Apache-2.0
"""Which store a location names: a folder of this machine, one of any file system that pyarrow knows, or memory."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from flinkcore.checkpoint.store import Store
from flinkcore.errors import CheckpointStorageError

if TYPE_CHECKING:
    import pyarrow.fs as pafs


def open_store(location: str | os.PathLike[str], filesystem: pafs.FileSystem | None = None) -> Store:
    """The store of a folder, which need not exist.

    location : a path; a URI that pyarrow knows, such as s3://bucket/folder or file:///folder; "memory:" for a new
        store in memory; with `filesystem` the path of a folder in it
    CheckpointStorageError : the URI cannot be used
    """
    text = os.fspath(location)
    if text == "memory:":
        from flinkcore.checkpoint.memory_store import MemoryStore

        return MemoryStore()
    if filesystem is None and not re.match(r"[A-Za-z][A-Za-z0-9+.-]*://?", text):
        from flinkcore.checkpoint.local_store import LocalStore

        return LocalStore(os.path.expanduser(text))
    return _store_of(text, filesystem)


def _store_of(text: str, filesystem: pafs.FileSystem | None) -> Store:
    """The store of a URI, or of a path in a file system. pyarrow.fs is imported here: 15 ms that few programs need."""
    import pyarrow as pa
    import pyarrow.fs as pafs

    from flinkcore.checkpoint.arrow_store import ArrowStore
    from flinkcore.checkpoint.local_store import LocalStore

    path = text
    if filesystem is None:
        try:
            filesystem, path = pafs.FileSystem.from_uri(text)
        except (pa.ArrowException, OSError, ValueError) as error:
            raise CheckpointStorageError(f"cannot open the file system of '{text}': {error}; known are local paths, "
                                         "file://, s3://, gs://, abfs:// and hdfs://, as pyarrow was built"
                                         ) from error
    while isinstance(filesystem, pafs.SubTreeFileSystem) and isinstance(filesystem.base_fs, pafs.LocalFileSystem):
        filesystem, path = filesystem.base_fs, filesystem.base_path + path
    if isinstance(filesystem, pafs.LocalFileSystem):
        return LocalStore(path)
    # Keys may stand in front of the host or in the query; they are nothing for messages.
    return ArrowStore(filesystem, path, re.sub(r"//[^/@]*@", "//", text.partition("?")[0]))
