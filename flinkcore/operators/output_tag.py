# SPDX-License-Identifier: Apache-2.0
"""OutputTag: names and types a side output (PyFlink: pyflink.datastream.output_tag)."""

from __future__ import annotations

from functools import cached_property

from flinkcore.columnar.arrow_types import schema_of
from flinkcore.columnar.schema import Schema
from flinkcore.columnar.typeinfo import PickledBytesTypeInfo, RowTypeInfo, TypeInformation
from flinkcore.errors import UnsupportedOperationError


class OutputTag:
    """A side output: `yield tag, value` in a process function, ds.get_side_output(tag) on its result.

    type_info : type of its records; a list of types is a ROW of them; without one, any Python object
    """

    def __init__(self, tag_id: str, type_info: TypeInformation | list[TypeInformation] | None = None) -> None:
        if not tag_id:
            raise ValueError("OutputTag tag_id cannot be None or empty string")
        if isinstance(type_info, list):
            type_info = RowTypeInfo(type_info)
        elif type_info is not None and not isinstance(type_info, TypeInformation):
            raise TypeError(f"OutputTag type_info must be None, list or TypeInformation, not {type_info!r}")
        self.tag_id = tag_id
        self.type_info: TypeInformation = PickledBytesTypeInfo() if type_info is None else type_info

    @cached_property
    def schema(self) -> Schema:
        """The schema of the side output. Beyond PyFlink."""
        return schema_of(self.type_info)

    def get_java_output_tag(self) -> None:
        raise UnsupportedOperationError(
            f"OutputTag('{self.tag_id}') has no Java counterpart: there is no JVM here"
        )

    def __repr__(self) -> str:
        return f"OutputTag({self.tag_id!r}, {self.type_info})"
