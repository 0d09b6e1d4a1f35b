# SPDX-License-Identifier: Apache-2.0
"""The text forms of configured values, read and written as Flink does: durations, sizes, lists, maps."""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping
from typing import Any

from flinkcore.errors import ConfigurationError

# Flink: TimeUtils.TimeUnit. Nanoseconds of one unit, by every label that Flink reads.
_UNIT_NANOS = {
    label: nanos
    for labels, nanos in (
        ("d day days", 86_400_000_000_000),
        ("h hour hours", 3_600_000_000_000),
        ("m min minute minutes", 60_000_000_000),
        ("s sec secs second seconds", 1_000_000_000),
        ("ms milli millis millisecond milliseconds", 1_000_000),
        ("µs micro micros microsecond microseconds", 1_000),
        ("ns nano nanos nanosecond nanoseconds", 1),
    )
    for label in labels.split()
}
# Flink: MemorySize.MemoryUnit. Every unit is a power of 1024.
_UNIT_BYTES = {
    label: 1024**power
    for power, labels in enumerate(
        ("b bytes", "k kb kibibytes", "m mb mebibytes", "g gb gibibytes", "t tb tebibytes")
    )
    for label in labels.split()
}
_ISO_DURATION = re.compile(
    r"(?P<sign>[+-]?)P(?:(?P<days>[+-]?\d+)D)?"
    r"(?:T(?=.)(?:(?P<hours>[+-]?\d+)H)?(?:(?P<minutes>[+-]?\d+)M)?(?:(?P<seconds>[+-]?\d+(?:[.,]\d{0,9})?)S)?)?",
    re.IGNORECASE,
)
_AMOUNT = re.compile(r"(\d+)\s*([a-zµ]*)")
_YAML_NEEDS_QUOTES = re.compile(r"[\s#,\[\]{}&*!|>%@`]|['\"]|:(\s|$)")


def parse_duration_ns(text: str) -> int:
    """Nanoseconds of a duration as Flink writes it: "10 min", "200ms", "5" (milliseconds) or ISO-8601 "PT5S".

    ConfigurationError for any other text. Source: Flink, TimeUtils.parseDuration
    """
    stripped = text.strip()
    iso = _ISO_DURATION.fullmatch(stripped)
    if iso and stripped[-1].upper() not in "PT":
        seconds = (iso["seconds"] or "0").replace(",", ".")
        whole, _, fraction = seconds.partition(".")
        nanos = int(fraction.ljust(9, "0") or 0) * (-1 if whole.startswith("-") else 1)
        nanos += int(whole) * 1_000_000_000
        nanos += 60_000_000_000 * (
            int(iso["minutes"] or 0) + 60 * (int(iso["hours"] or 0) + 24 * int(iso["days"] or 0))
        )
        return -nanos if iso["sign"] == "-" else nanos
    amount = _AMOUNT.fullmatch(stripped.lower())
    unit = _UNIT_NANOS.get(amount[2] or "ms") if amount else None
    if amount is None or unit is None:
        raise ConfigurationError(
            f"'{text}' is not a duration; write a number and a unit (d, h, min, s, ms, µs, ns), as '10 min', "
            "or the form 'PT5S'"
        )
    return int(amount[1]) * unit


def parse_duration_ms(text: str) -> int:
    """Whole milliseconds of a duration, cut as Java's Duration.toMillis cuts; see parse_duration_ns."""
    return parse_duration_ns(text) // 1_000_000


def parse_memory_bytes(text: str) -> int:
    """Bytes of a memory size: "64 mb", "1g", "512" (bytes). ConfigurationError for any other text."""
    amount = _AMOUNT.fullmatch(text.strip().lower())
    unit = _UNIT_BYTES.get(amount[2] or "b") if amount else None
    if amount is None or unit is None:
        raise ConfigurationError(
            f"'{text}' is not a memory size; write a number and a unit (b, kb, mb, gb, tb), e.g. '64 mb'"
        )
    return int(amount[1]) * unit


def parse_list(text: str | None) -> list[str]:
    """The items of a list option: a YAML list ("[a, b]", or lines "- a"), or Flink's older form "a;b"."""
    if not text:
        return []
    stripped = text.strip()
    if stripped.startswith("[") and stripped.endswith("]"):
        items = re.findall(r"\s*(\"[^\"]*\"|'[^']*'|[^,]*)\s*(?:,|$)", stripped[1:-1])
        return [_unquote(item.strip()) for item in items if item.strip()]
    if stripped.startswith("- "):
        return [_unquote(line.strip()[1:].strip()) for line in stripped.splitlines() if line.strip()]
    return text.split(";")


def parse_map(text: str) -> dict[str, str]:
    """The entries of a map option: a YAML map ("{a: b, c: d}"), or Flink's older form "a:b,c:d"."""
    stripped = text.strip()
    if stripped.startswith("{") and stripped.endswith("}"):
        stripped = stripped[1:-1]
    entries = [entry.partition(":") for entry in stripped.split(",") if entry.strip()]
    if not all(colon for _, colon, _ in entries):
        raise ConfigurationError("expected key:value pairs, separated by commas")
    return {_unquote(key.strip()): _unquote(value.strip()) for key, _, value in entries}


def _unquote(item: str) -> str:
    return item[1:-1] if len(item) > 1 and item[0] == item[-1] and item[0] in "'\"" else item


def to_text(value: Any) -> str:
    """A value as Flink writes it into configuration text."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime.timedelta):
        return f"{value // datetime.timedelta(milliseconds=1)} ms"
    if isinstance(value, (list, tuple)):
        return (
            "["
            + ", ".join(
                "'" + item.replace("'", "''") + "'" if _YAML_NEEDS_QUOTES.search(item) else item
                for item in map(to_text, value)
            )
            + "]"
        )
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {to_text(item)}" for key, item in value.items()) + "}"
    return str(value)
