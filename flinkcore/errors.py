# SPDX-License-Identifier: Apache-2.0
"""Every error that flinkcore raises on purpose.

Each inherits FlinkcoreError and the builtin a caller would guess, so that either can be caught. A message
says what was expected, what came, where, and what to do.
"""

from __future__ import annotations

import traceback
from types import TracebackType


class FlinkcoreError(Exception):
    """The base of all errors raised by flinkcore itself."""


class SchemaError(FlinkcoreError, TypeError):
    """Columns, names or types do not fit: a missing field, a wrong type, a value that its type cannot hold."""


class ExpressionError(FlinkcoreError, ValueError):
    """An expression cannot be parsed, resolved or evaluated."""


class ConfigurationError(FlinkcoreError, ValueError):
    """An option has a value that it cannot take, or a job was put together in a way that cannot run."""


class DataError(FlinkcoreError, ValueError):
    """A record is at fault: a null key, a timestamp out of range, a line that does not parse."""


class ConnectorError(FlinkcoreError, OSError):
    """A source cannot be read or a sink cannot be written."""


class UnsupportedOperationError(FlinkcoreError, NotImplementedError):
    """The operation has no meaning here, as Flink's UnsupportedOperationException says it."""


class CheckpointError(FlinkcoreError, RuntimeError):
    """A checkpoint or savepoint cannot be made, or is not the one that was asked for."""


class CheckpointStorageError(FlinkcoreError, OSError):
    """Where checkpoints lie cannot be read or written: the text names the path, what failed and what to do."""


class StateSpillError(FlinkcoreError, OSError):
    """State beyond the memory budget cannot be written to the local file that it goes to, or read back from it."""


class ControlError(FlinkcoreError, OSError):
    """A running job cannot be reached from outside its process, or refused what it was asked for."""


class StateFormatError(FlinkcoreError, ValueError):
    """Bytes of a checkpoint or savepoint are damaged, incomplete, foreign, or of a version not known here."""


class NewerFormatError(StateFormatError):
    """A checkpoint or savepoint was written by a newer flinkcore. It is whole, and not to be passed over."""


class StateMigrationError(FlinkcoreError, ValueError):
    """Stored state does not fit the program that is to go on from it (Flink: StateMigrationException)."""


class FlinkcoreWarning(UserWarning):
    """Something that a program asked for is not as it may expect; the job runs all the same."""


class JobCancelledError(FlinkcoreError):
    """The job was cancelled before it finished."""


class JobExecutionError(FlinkcoreError, RuntimeError):
    """A job failed. `__cause__` is the first failure; the text names the operator."""


class UserFunctionError(FlinkcoreError, RuntimeError):
    """A function of the user raised.

    The text names the operator and the record and ends with the user's own traceback, starting at the first
    line of the user's code; `__cause__` is the exception itself.
    """

    def __init__(
        self,
        operator: str,
        function: str,
        error: BaseException,
        record: object = None,
        position: int | None = None,
    ) -> None:
        self.operator = operator
        self.function = function
        self.record = record
        self.position = position
        self._traceback = _user_traceback(error.__traceback__, error)
        super().__init__()
        self.__cause__ = error

    def __str__(self) -> str:
        error = self.__cause__
        text = f"operator '{self.operator}': {self.function} raised {type(error).__name__}: "
        text += "" if error is None else _text(error)
        if self.position is not None:
            text += f"\n  at record {self.position} of its batch: {_shorten(self.record)}"
        elif self.record is not None:
            text += f"\n  at record {_shorten(self.record)}"
        return f"{text}\n{self._traceback}"


def described(error: BaseException) -> str:
    """An exception that no FlinkcoreError describes: its class, its text and the traceback of the user's code."""
    return f"{type(error).__name__}: {_text(error)}\n{_user_traceback(error.__traceback__, error)}"


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception as other:
        return f"<its text raised {type(other).__name__}>"


def _shorten(value: object, chars_max: int = 200) -> str:
    try:
        text = repr(value)
    except Exception as other:
        text = f"<{type(value).__name__}, whose repr raised {type(other).__name__}>"
    return text if len(text) <= chars_max else text[: chars_max - 3] + "..."


def _user_traceback(trace: TracebackType | None, error: BaseException) -> str:
    """The traceback from the first frame outside flinkcore on; all of it when there is none."""
    frames = traceback.extract_tb(trace)
    engine = __file__.rsplit("errors.py", 1)[0]
    compiled = "flinkcore/_native/"  # what Cython calls its files
    start = next(
        (i for i, frame in enumerate(frames) if not frame.filename.startswith((engine, compiled))), 0
    )
    return "Traceback (most recent call last):\n" + "".join(
        traceback.format_list(frames[start:]) + traceback.format_exception_only(type(error), error)
    )
