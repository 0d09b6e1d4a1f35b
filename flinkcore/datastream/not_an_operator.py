# SPDX-License-Identifier: Apache-2.0
"""NotAnOperator: streams that are no operator of their own have nothing that can be configured."""

from __future__ import annotations

from typing import Any, NoReturn


class NotAnOperator:
    """Refuses what configures the operator that makes a stream, as PyFlink does. Before DataStream among the bases."""

    def _refuse(self, what: str) -> NoReturn:
        """ConfigurationError: why `what` cannot be called, and where to call it instead."""
        raise NotImplementedError(type(self).__name__)

    def name(self, name: str) -> Any:
        return self._refuse("name")

    def get_name(self) -> Any:
        return self._refuse("get_name")

    def uid(self, uid: str) -> Any:
        return self._refuse("uid")

    def set_uid_hash(self, uid_hash: str) -> Any:
        return self._refuse("set_uid_hash")

    def set_parallelism(self, parallelism: int) -> Any:
        return self._refuse("set_parallelism")

    def set_max_parallelism(self, max_parallelism: int) -> Any:
        return self._refuse("set_max_parallelism")

    def force_non_parallel(self) -> Any:
        return self._refuse("force_non_parallel")

    def set_buffer_timeout(self, timeout_millis: int) -> Any:
        return self._refuse("set_buffer_timeout")

    def start_new_chain(self) -> Any:
        return self._refuse("start_new_chain")

    def disable_chaining(self) -> Any:
        return self._refuse("disable_chaining")

    def slot_sharing_group(self, slot_sharing_group: Any) -> Any:
        return self._refuse("slot_sharing_group")
