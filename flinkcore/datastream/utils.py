# SPDX-License-Identifier: Apache-2.0
"""ResultTypeQueryable, and what PyFlink does with objects of Java (pyflink.datastream.utils)."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, NoReturn

from flinkcore.columnar.typeinfo import TypeInformation
from flinkcore.common.utils import no_java_object

__all__ = ["ResultTypeQueryable"]


class ResultTypeQueryable:
    """Something that knows the type of the records that it makes."""

    @abstractmethod
    def get_produced_type(self) -> TypeInformation: ...


def create_hadoop_configuration(config: Any) -> NoReturn:
    """UnsupportedOperationError: there is no Hadoop."""
    no_java_object("a Hadoop configuration", "files are read and written with pyarrow")


def create_java_properties(config: Any) -> NoReturn:
    """UnsupportedOperationError: there is no JVM."""
    no_java_object("a table of Java properties", "use Configuration.to_dict")


def convert_to_python_obj(data: Any, type_info: TypeInformation) -> NoReturn:
    """UnsupportedOperationError: values do not come from a JVM."""
    no_java_object("a value of a stream", "it is a Python object already")


def pickled_bytes_to_python_obj(data: Any, type_info: TypeInformation) -> NoReturn:
    """UnsupportedOperationError: values do not come from a JVM."""
    no_java_object("a value of a stream", "it is a Python object already")
