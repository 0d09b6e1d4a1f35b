# SPDX-License-Identifier: Apache-2.0
"""Configuration and its options, under Flink's keys and with Flink's types."""

from __future__ import annotations

import builtins
import datetime
from collections.abc import Iterable, Mapping
from typing import Any, Generic, Literal, TypeVar

from flinkcore.config_text import parse_duration_ms, parse_list, parse_map, parse_memory_bytes, to_text
from flinkcore.errors import ConfigurationError

T = TypeVar("T")
OptionType = Literal[
    "string", "int", "long", "float", "double", "boolean", "duration", "memory", "list", "map", "enum"
]


def _boolean(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    word = str(value).strip().lower()
    if word not in ("true", "false"):
        raise ConfigurationError("expected true or false")
    return word == "true"


def _duration_ms(value: Any) -> int:
    if isinstance(value, datetime.timedelta):
        return value // datetime.timedelta(milliseconds=1)
    if hasattr(value, "to_millis"):  # flinkcore.common.Duration, which this floor does not know
        return int(value.to_millis())
    return value if isinstance(value, int) else parse_duration_ms(str(value))


def _integer(value: Any, bits: int) -> int:
    number = int(value)
    if not -(1 << bits - 1) <= number < 1 << bits - 1:
        raise ConfigurationError(f"expected an integer of {bits} bits")
    return number


def convert(value: Any, type: OptionType, choices: tuple[str, ...] = ()) -> Any:
    """A configured value, text or not, as the Python value of an option type.

    -> str, int, float, bool; milliseconds (int) of a duration, bytes (int) of a memory size, list of str,
       dict of str, or one of `choices` in its own spelling. ConfigurationError or ValueError when it is none.
    """
    match type:
        case "int":
            return _integer(value, 32)
        case "long":
            return _integer(value, 64)
        case "float" | "double":
            return float(value)
        case "boolean":
            return _boolean(value)
        case "duration":
            return _duration_ms(value)
        case "memory":
            return value if isinstance(value, int) else parse_memory_bytes(str(value))
        case "list":
            return list(value) if isinstance(value, (list, tuple)) else parse_list(to_text(value))
        case "map":
            return dict(value) if isinstance(value, Mapping) else parse_map(str(value))
        case "enum":
            word = str(getattr(value, "name", value)).upper().replace("-", "_")
            for choice in choices:
                if choice.upper().replace("-", "_") == word:
                    return choice
            raise ConfigurationError(f"expected one of {', '.join(choices)}")
        case _:
            return to_text(value)


class ConfigOption(Generic[T]):
    """One option: key, type, default, and the older keys under which it may still be found.

    Made by ConfigOptions.key(...), or directly for the options in flinkcore.options. Immutable by convention.
    """

    __slots__ = ("choices", "default", "description", "key", "older_keys", "type")

    def __init__(
        self,
        key: str,
        type: OptionType = "string",
        default: T | None = None,
        description: str = "",
        older_keys: tuple[str, ...] = (),
        choices: tuple[str, ...] = (),
    ) -> None:
        self.key = key
        self.type: OptionType = type
        self.default = default
        self.description = description
        self.older_keys = older_keys
        self.choices = choices

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, ConfigOption)
            and self.key == other.key
            and self.older_keys == other.older_keys
            and self.default == other.default
        )

    def __hash__(self) -> int:
        return hash(self.key)

    def __repr__(self) -> str:
        return f"Key: '{self.key}' , default: {self.default}"


class ConfigOptions:
    """Builds options: ConfigOptions.key("parallelism.default").int_type().default_value(1)."""

    @staticmethod
    def key(key: str) -> ConfigOptions.OptionBuilder:
        """Start a new option."""
        return ConfigOptions.OptionBuilder(key)

    class OptionBuilder:
        """An option that has a key; the next call says its type."""

        def __init__(self, key: str) -> None:
            self._key = key

        def boolean_type(self) -> ConfigOptions.TypedConfigOptionBuilder[bool]:
            return ConfigOptions.TypedConfigOptionBuilder(self._key, "boolean")

        def int_type(self) -> ConfigOptions.TypedConfigOptionBuilder[int]:
            """Of 32 bits."""
            return ConfigOptions.TypedConfigOptionBuilder(self._key, "int")

        def long_type(self) -> ConfigOptions.TypedConfigOptionBuilder[int]:
            """Of 64 bits."""
            return ConfigOptions.TypedConfigOptionBuilder(self._key, "long")

        def float_type(self) -> ConfigOptions.TypedConfigOptionBuilder[float]:
            return ConfigOptions.TypedConfigOptionBuilder(self._key, "float")

        def double_type(self) -> ConfigOptions.TypedConfigOptionBuilder[float]:
            return ConfigOptions.TypedConfigOptionBuilder(self._key, "double")

        def string_type(self) -> ConfigOptions.TypedConfigOptionBuilder[str]:
            return ConfigOptions.TypedConfigOptionBuilder(self._key, "string")

    class TypedConfigOptionBuilder(Generic[T]):
        """An option that has a key and a type; the next call says its default."""

        def __init__(self, key: str, type: OptionType) -> None:
            self._key = key
            self._type: OptionType = type

        def default_value(self, value: T) -> ConfigOption[T]:
            return ConfigOption(self._key, self._type, value)

        def no_default_value(self) -> ConfigOption[T]:
            return ConfigOption(self._key, self._type)


class Configuration:
    """Keys and values, typed as they were set. Compared, hashed and printed by content, like Flink's.

    Any key is accepted: options of connectors and of real clusters travel through unread.
    """

    def __init__(self, other: Configuration | None = None, j_configuration: Configuration | None = None) -> None:
        """Empty, or a copy of `other`, or the same options as `j_configuration`, live: in PyFlink that is a Java
        object, here what flinkcore.util.java_utils.get_j_env_configuration gives."""
        if j_configuration is None:
            self._values: dict[str, Any] = {} if other is None else dict(other._values)
        elif isinstance(j_configuration, Configuration):
            self._values = j_configuration._values
        else:
            raise ConfigurationError(
                "j_configuration is what get_j_env_configuration gives, got an object of class "
                f"{type(j_configuration).__name__}"
            )

    @classmethod
    def from_dict(cls, map: Mapping[str, Any]) -> Configuration:
        """A configuration of these keys and values."""
        configuration = cls()
        configuration._values.update(map)
        return configuration

    # -- by option (beyond PyFlink, as Flink's Java API) -----------------------------------------------------

    def get(self, option: ConfigOption[T], default_value: T | None = None) -> Any:
        """The value of an option as its type, or its default; ConfigurationError when it is no such value."""
        for key in (option.key, *option.older_keys):
            if key in self._values:
                return self._converted(key, option.type, option.choices)
        return option.default if default_value is None else default_value

    def set(self, option: ConfigOption[T], value: Any) -> Configuration:
        """Set an option; ConfigurationError when the value cannot be of its type."""
        before = self._values.get(option.key)
        self._values[option.key] = value
        try:
            self._converted(option.key, option.type, option.choices)
        except ConfigurationError:
            del self._values[option.key]
            if before is not None:
                self._values[option.key] = before
            raise
        return self

    def contains(self, option: ConfigOption[Any]) -> bool:
        return any(key in self._values for key in (option.key, *option.older_keys))

    def _converted(self, key: str, type: OptionType, choices: tuple[str, ...] = ()) -> Any:
        value = self._values[key]
        try:
            return convert(value, type, choices)
        except (ValueError, TypeError) as error:
            reason = f": {error}" if isinstance(error, ConfigurationError) else ""
            raise ConfigurationError(
                f"option '{key}' is {value!r}, which is not of type {type}{reason}"
            ) from None

    # -- by key ----------------------------------------------------------------------------------------------

    def get_string(self, key: str, default_value: str) -> str:
        return to_text(self._values[key]) if key in self._values else default_value

    def set_string(self, key: str, value: str) -> Configuration:
        self._values[key] = value
        return self

    def get_integer(self, key: str, default_value: int) -> int:
        return self._converted(key, "long") if key in self._values else default_value

    def set_integer(self, key: str, value: int) -> Configuration:
        self._values[key] = _integer(value, 64)
        return self

    def get_boolean(self, key: str, default_value: bool) -> bool:
        return self._converted(key, "boolean") if key in self._values else default_value

    def set_boolean(self, key: str, value: bool) -> Configuration:
        self._values[key] = bool(value)
        return self

    def get_float(self, key: str, default_value: float) -> float:
        return self._converted(key, "double") if key in self._values else float(default_value)

    def set_float(self, key: str, value: float) -> Configuration:
        self._values[key] = float(value)
        return self

    def get_bytearray(self, key: str, default_value: bytearray) -> bytearray:
        value = self._values.get(key, default_value)
        if not isinstance(value, (bytes, bytearray)):
            raise ConfigurationError(f"option '{key}' is {value!r}, which is not a byte array")
        return bytearray(value)

    def set_bytearray(self, key: str, value: bytearray) -> Configuration:
        self._values[key] = bytes(value)
        return self

    def key_set(self) -> builtins.set[str]:
        return set(self._values)

    def contains_key(self, key: str) -> bool:
        return key in self._values

    def remove_config(self, key: str) -> bool:
        """Forget a key; True when it was there."""
        return self._values.pop(key, None) is not None

    def add_all(self, other: Configuration, prefix: str | None = None) -> Configuration:
        """Take every entry of `other`, its keys prefixed when a prefix is given."""
        self._values.update({(prefix or "") + key: value for key, value in other._values.items()})
        return self

    def add_all_to_dict(self, target_dict: dict[str, Any]) -> None:
        """Put every entry into a dict, values as they were set."""
        target_dict.update(
            {
                key: bytearray(value) if isinstance(value, bytes) else value
                for key, value in self._values.items()
            }
        )

    def to_dict(self) -> dict[str, str]:
        """Every entry as text."""
        return {key: to_text(value) for key, value in self._values.items()}

    @staticmethod
    def parse_list_value(value: str | None) -> list[str]:
        """The items of a list option; see parse_list."""
        return parse_list(value)

    def _typed(self) -> Iterable[tuple[str, type, str]]:
        return ((key, type(value), to_text(value)) for key, value in self._values.items())

    def __deepcopy__(self, memo: dict[int, Any]) -> Configuration:
        return Configuration(self)

    def __eq__(self, other: object) -> bool:
        # 1 and "1" and True differ, as Long, String and Boolean do.
        return isinstance(other, Configuration) and set(self._typed()) == set(other._typed())

    def __hash__(self) -> int:
        return hash(frozenset(self._values))

    def __str__(self) -> str:
        return "{" + ", ".join(f"{key}={to_text(self._values[key])}" for key in sorted(self._values)) + "}"

    def __repr__(self) -> str:
        return f"Configuration({self})"
