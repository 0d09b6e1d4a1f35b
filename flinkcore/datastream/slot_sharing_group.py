# SPDX-License-Identifier: Apache-2.0
"""MemorySize and SlotSharingGroup (PyFlink: pyflink.datastream.slot_sharing_group).

A slot sharing group is a hint: every task here is a thread of one process, which has no slots to share out.
"""

from __future__ import annotations

from functools import total_ordering
from typing import Any

from flinkcore.common.utils import no_java_object
from flinkcore.errors import ConfigurationError

__all__ = ["MemorySize", "SlotSharingGroup"]

_UNITS = ("bytes", "kb", "mb", "gb", "tb")


@total_ordering
class MemorySize:
    """A number of bytes, to be read in several units; results of the getters are whole units, rounded down."""

    def __init__(self, j_memory_size: Any = None, bytes_size: int | None = None) -> None:
        if j_memory_size is not None:
            no_java_object("MemorySize", "give bytes_size, or use MemorySize.of_mebi_bytes")
        if not isinstance(bytes_size, int) or isinstance(bytes_size, bool) or bytes_size < 0:
            raise ConfigurationError(f"MemorySize takes bytes_size, a whole number of at least 0, got {bytes_size!r}")
        self._bytes = bytes_size

    @staticmethod
    def of_mebi_bytes(mebi_bytes: int) -> MemorySize:
        return MemorySize(bytes_size=mebi_bytes << 20)

    def get_bytes(self) -> int:
        return self._bytes

    def get_kibi_bytes(self) -> int:
        return self._bytes >> 10

    def get_mebi_bytes(self) -> int:
        return self._bytes >> 20

    def get_gibi_bytes(self) -> int:
        return self._bytes >> 30

    def get_tebi_bytes(self) -> int:
        return self._bytes >> 40

    def get_java_memory_size(self) -> Any:
        """UnsupportedOperationError: there is no JVM."""
        no_java_object("MemorySize", "use get_bytes")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, MemorySize) and self._bytes == other._bytes

    def __hash__(self) -> int:
        return hash(self._bytes)

    def __lt__(self, other: MemorySize) -> bool:
        if not isinstance(other, MemorySize):
            raise TypeError(f"a MemorySize can be compared with a MemorySize, not with {other!r}")
        return self._bytes < other._bytes

    def __str__(self) -> str:
        # Flink: MemorySize.formatToString, the largest unit of which the size is a whole number.
        unit = 0
        while unit + 1 < len(_UNITS) and self._bytes and self._bytes % (1 << 10 * (unit + 1)) == 0:
            unit += 1
        return f"{self._bytes >> 10 * unit} {_UNITS[unit]}"

    def __repr__(self) -> str:
        return f"MemorySize({self})"


class SlotSharingGroup:
    """A name, and the resources that a slot of the group has; made by SlotSharingGroup.builder(name)."""

    _name: str
    _cpu_cores: float | None
    _task_heap_memory: MemorySize | None
    _task_off_heap_memory: MemorySize | None
    _managed_memory: MemorySize | None
    _external_resources: dict[str, float]

    def __init__(self, j_slot_sharing_group: Any) -> None:
        no_java_object("SlotSharingGroup", "use SlotSharingGroup.builder(name)")

    @staticmethod
    def builder(name: str) -> SlotSharingGroup.Builder:
        return SlotSharingGroup.Builder(name)

    def get_name(self) -> str:
        return self._name

    def get_managed_memory(self) -> MemorySize | None:
        return self._managed_memory

    def get_task_heap_memory(self) -> MemorySize | None:
        return self._task_heap_memory

    def get_task_off_heap_memory(self) -> MemorySize | None:
        return self._task_off_heap_memory

    def get_cpu_cores(self) -> float | None:
        return self._cpu_cores

    def get_external_resources(self) -> dict[str, float]:
        """Amounts of resources such as "gpu", by name."""
        return dict(self._external_resources)

    def get_java_slot_sharing_group(self) -> Any:
        """UnsupportedOperationError: there is no JVM."""
        no_java_object("SlotSharingGroup", "use its getters")

    @property
    def _parts(self) -> tuple[Any, ...]:
        resources = (self._cpu_cores, self._task_heap_memory, self._task_off_heap_memory, self._managed_memory)
        return self._name, *resources, tuple(sorted(self._external_resources.items()))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SlotSharingGroup) and self._parts == other._parts

    def __hash__(self) -> int:
        return hash(self._parts)

    def __repr__(self) -> str:
        return f"SlotSharingGroup{self._parts}"

    class Builder:
        """What a group is made of. With any resource, CPU cores and task heap memory must be given, as in Flink."""

        def __init__(self, j_builder: str) -> None:
            # PyFlink hands its builder a Java object under this name; here it is the name of the group.
            if not isinstance(j_builder, str) or not j_builder:
                raise ConfigurationError(f"a slot sharing group has a name, got {j_builder!r}")
            self._group = group = SlotSharingGroup.__new__(SlotSharingGroup)
            group._name = j_builder
            group._cpu_cores = None
            group._task_heap_memory = group._task_off_heap_memory = group._managed_memory = None
            group._external_resources = {}

        def set_cpu_cores(self, cpu_cores: float) -> SlotSharingGroup.Builder:
            if not cpu_cores > 0:
                raise ConfigurationError(f"The cpu cores should be positive, got {cpu_cores!r}")
            self._group._cpu_cores = float(cpu_cores)
            return self

        def set_task_heap_memory(self, task_heap_memory: MemorySize) -> SlotSharingGroup.Builder:
            if _size(task_heap_memory).get_bytes() == 0:
                raise ConfigurationError("The task heap memory should be positive, got 0 bytes")
            self._group._task_heap_memory = task_heap_memory
            return self

        def set_task_heap_memory_mb(self, task_heap_memory_mb: int) -> SlotSharingGroup.Builder:
            return self.set_task_heap_memory(MemorySize.of_mebi_bytes(task_heap_memory_mb))

        def set_task_off_heap_memory(self, task_off_heap_memory: MemorySize) -> SlotSharingGroup.Builder:
            self._group._task_off_heap_memory = _size(task_off_heap_memory)
            return self

        def set_task_off_heap_memory_mb(self, task_off_heap_memory_mb: int) -> SlotSharingGroup.Builder:
            return self.set_task_off_heap_memory(MemorySize.of_mebi_bytes(task_off_heap_memory_mb))

        def set_managed_memory(self, managed_memory: MemorySize) -> SlotSharingGroup.Builder:
            self._group._managed_memory = _size(managed_memory)
            return self

        def set_managed_memory_mb(self, managed_memory_mb: int) -> SlotSharingGroup.Builder:
            return self.set_managed_memory(MemorySize.of_mebi_bytes(managed_memory_mb))

        def set_external_resource(self, name: str, value: float) -> SlotSharingGroup.Builder:
            if not value > 0:
                raise ConfigurationError(f"The value of the resource '{name}' should be positive, got {value!r}")
            self._group._external_resources[name] = float(value)
            return self

        def build(self) -> SlotSharingGroup:
            """The group. ConfigurationError: some resources are given, but not CPU cores and task heap memory."""
            group = self._group
            if None not in (group._cpu_cores, group._task_heap_memory):
                # Flink: SlotSharingGroup.Builder.build; what is left out is none.
                group._task_off_heap_memory = group._task_off_heap_memory or MemorySize(bytes_size=0)
                group._managed_memory = group._managed_memory or MemorySize(bytes_size=0)
            elif any(part for part in group._parts[1:]):
                raise ConfigurationError(
                    "The cpu cores and task heap memory are required when specifying the resource of a slot sharing "
                    f"group; group '{group._name}' has {group._parts[1:]}. You need to explicitly configure them "
                    "with positive value."
                )
            return group


def _size(value: Any) -> MemorySize:
    if not isinstance(value, MemorySize):
        raise ConfigurationError(f"expected a MemorySize, e.g. MemorySize.of_mebi_bytes(100), got {value!r}")
    return value
