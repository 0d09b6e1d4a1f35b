# SPDX-License-Identifier: Apache-2.0
"""ORC (pyflink.datastream.formats.orc). Files of it are read with flinkcore.connectors.files.orc.Orc."""

from __future__ import annotations

from typing import Any

from flinkcore.common.configuration import Configuration
from flinkcore.connectors.files.orc import OrcWriter
from flinkcore.datastream.connectors.file_system import BulkWriterFactory
from flinkcore.table.types import RowType

__all__ = ["OrcBulkWriters"]


class OrcBulkWriters:
    """Writers of ORC files."""

    @staticmethod
    def for_row_type(
        row_type: RowType, writer_properties: Configuration | None = None, hadoop_config: Any = None
    ) -> BulkWriterFactory:
        """Writes rows of this type.

        writer_properties : orc.compress, orc.stripe.size, orc.row.index.stride;  hadoop_config : accepted
        """
        if not isinstance(row_type, RowType):
            raise TypeError(f"row_type must be an instance of RowType, got {row_type!r}")
        properties = {} if writer_properties is None else writer_properties.to_dict()
        return BulkWriterFactory(OrcWriter.of_properties(properties), row_type)
