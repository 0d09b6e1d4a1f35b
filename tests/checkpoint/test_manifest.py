# SPDX-License-Identifier: Apache-2.0
"""Manifests: each comes back as it was written, and nothing in one is taken on trust."""

from __future__ import annotations

import copy
import dataclasses
import json
import struct
from collections.abc import Callable
from typing import Any

import pytest
import xxhash

from flinkcore.checkpoint.manifest import (
    ListState,
    Manifest,
    OperatorState,
    SubtaskState,
    decode,
    encode,
    read_manifest,
    write_manifest,
)
from flinkcore.checkpoint.memory_store import MemoryStore
from flinkcore.checkpoint.segment import SegmentRef, read_segment
from flinkcore.checkpoint.store import Store
from flinkcore.errors import CheckpointError, StateFormatError
from tests.checkpoint.manifests import OPERATOR_ID, blocks_of, manifest_of, write_segment


def some_manifest(store: Store) -> Manifest:
    first = write_segment(store, "shared/a.seg", blocks_of(1))
    second = write_segment(store, "", blocks_of(2), since=1, epoch=3, inline_bytes_max=20_480)
    third = write_segment(store, "", blocks_of(3), since=3, epoch=4, inline_bytes_max=20_480)
    return manifest_of([first, second, third], checkpoint_id=4)


def some_bytes() -> bytes:
    return b"".join(encode(some_manifest(MemoryStore())))


def json_of(data: bytes) -> tuple[Any, bytes]:
    length = int.from_bytes(data[8:16], "little")
    return json.loads(data[32 : 32 + length]), data[32 + length :]


def packed(text: bytes, inline: bytes = b"") -> bytes:
    """A manifest whose checksum is right, whatever it says."""
    header = struct.pack("<4sHHQQ", b"FCMF", 1, 0, len(text), len(inline))
    return header + xxhash.xxh3_64_intdigest(header + text + inline).to_bytes(8, "little") + text + inline


def test_a_manifest_comes_back_as_it_was_written(store: Store) -> None:
    manifest = some_manifest(store)
    length = write_manifest(store, "a/b/_metadata", manifest)
    assert length == store.size("a/b/_metadata")
    found = read_manifest(store, "a/b/_metadata")
    assert found == manifest
    assert found.format_version == 1
    assert found.paths() == {"shared/a.seg"}
    assert found.bytes == sum(ref.bytes for ref in manifest.segments())
    for ref, seed in zip(found.segments(), (1, 2, 3)):
        assert [(part, bytes(payload)) for part, payload in read_segment(store, ref)] == blocks_of(seed)


def test_a_manifest_is_never_replaced(store: Store) -> None:
    write_manifest(store, "a/b/_metadata", manifest_of([], checkpoint_id=1))
    with pytest.raises(FileExistsError):
        write_manifest(store, "a/b/_metadata", manifest_of([], checkpoint_id=2))
    assert read_manifest(store, "a/b/_metadata").checkpoint_id == 1


def test_every_changed_byte_and_every_other_length_is_found() -> None:
    data = some_bytes()
    for position in range(len(data)):
        for bit in (1, 128):
            with pytest.raises(StateFormatError):
                decode(data[:position] + bytes([data[position] ^ bit]) + data[position + 1 :])
    for length in range(len(data)):
        with pytest.raises(StateFormatError, match=r"manifest is damaged|no manifest"):
            decode(data[:length])
    with pytest.raises(StateFormatError, match="bytes, and its header says"):
        decode(data + b"\0")


@pytest.mark.parametrize(("data", "text"), [
    (b"", "it ends after 0 bytes"),
    (b"{}", "it ends after 2 bytes"),
    (bytes(100), "is no manifest of flinkcore: it begins with"),
    (b"PAR1" + bytes(1000), "is no manifest of flinkcore: it begins with b'PAR1'; give the folder"),
    (b"FCMF\2\0" + bytes(100), "has format 2; this flinkcore reads 1 to 1; restore with a newer flinkcore"),
    (b"FCMF\0\0" + bytes(100), "its header has values that no flinkcore writes"),
    (struct.pack("<4sHHQQQ", b"FCMF", 1, 0, 2**63, 2**63, 0), "is damaged: it has 32 bytes"),
])
def test_foreign_files_and_newer_versions_say_so(data: bytes, text: str) -> None:
    store = MemoryStore()
    store.files["chk-1/_metadata"] = data
    with pytest.raises(StateFormatError) as caught:
        read_manifest(store, "chk-1/_metadata")
    assert text in str(caught.value) and "memory:/chk-1/_metadata" in str(caught.value)
    with pytest.raises(FileNotFoundError):
        read_manifest(store, "chk-2/_metadata")


# -- made to harm: each change of a good manifest, its checksum put right again ----------------------------------------

Path = tuple[Any, ...]


def at(value: Any, path: Path) -> Any:
    for step in path:
        value = value[step]
    return value


def places(value: Any, path: Path = ()) -> list[Path]:
    """Every place in a JSON value, the outermost first; not those in values that may be anything."""
    found = [path] if path else []
    if path and path[-1] in ("trigger", "coordinator", "items", "description", "namespace"):
        return found
    if isinstance(value, dict):
        for name, inner in value.items():
            found += places(inner, (*path, name))
    elif isinstance(value, list):
        for i, inner in enumerate(value):
            found += places(inner, (*path, i))
    return found


ODD = (None, True, -(2**63) - 1, 2**70, 1.5, "../../etc/passwd", "", [], {}, [None], {"a": None})
TYPES = {
    int: ("checkpoint_id", "created_ms", "parallelism", "max_parallelism", "index", "epoch", "since", "number",
          "rows", "bytes"),
    str: ("flinkcore_version", "job_name", "job_id", "kind", "operator_id", "name", "mode", "digest"),
    list: ("operators", "subtasks", "parts", "segments", "key_groups", "items"),
    dict: ("trigger", "lists", "fields", "description"),
    bool: ("finished",),
}
MAPPINGS = ("fields", "lists", "trigger", "description", "coordinator", "namespace")  # any field will do
EXACT = ("job_id", "operator_id", "mode", "digest", "path")  # not every text will do


def test_no_field_takes_a_value_of_another_type() -> None:
    whole, inline = json_of(some_bytes())
    tried = 0
    for path in places(whole):
        kind = next((kind for kind, names in TYPES.items() if path[-1] in names), None)
        if kind is None or "fields" in path[:-1]:
            continue
        for odd in ODD:
            if type(odd) is kind and kind is not int and path[-1] not in EXACT:
                continue
            changed = copy.deepcopy(whole)
            at(changed, path[:-1])[path[-1]] = odd
            with pytest.raises(StateFormatError, match="damaged"):
                decode(packed(json.dumps(changed).encode(), inline))
            tried += 1
    assert tried > 700


def test_what_is_accepted_is_understood() -> None:
    """Whatever is put into any place: it is refused, or encode() gives it back."""
    whole, inline = json_of(some_bytes())
    for path in places(whole):
        for odd in ODD:
            changed = copy.deepcopy(whole)
            at(changed, path[:-1])[path[-1]] = odd
            try:
                found = decode(packed(json.dumps(changed).encode(), inline))
            except StateFormatError:
                continue
            assert json_of(b"".join(encode(found))) == (changed, inline)


def test_no_field_may_be_missing_unknown_or_twice() -> None:
    whole, inline = json_of(some_bytes())
    for path in places(whole):
        if isinstance(path[-1], str) and path[-2:-1] not in (("fields",), ("lists",)):
            changed = copy.deepcopy(whole)
            del at(changed, path[:-1])[path[-1]]
            with pytest.raises(StateFormatError, match="is missing"):
                decode(packed(json.dumps(changed).encode(), inline))
        if isinstance(at(whole, path), dict) and path[-1] not in MAPPINGS:
            changed = copy.deepcopy(whole)
            at(changed, path)["a new one"] = 1
            with pytest.raises(StateFormatError, match="has the field 'a new one'"):
                decode(packed(json.dumps(changed).encode(), inline))
    text = json.dumps(whole).encode().replace(b'"kind": "checkpoint"', b'"kind": "checkpoint", "kind": "savepoint"')
    with pytest.raises(StateFormatError, match="two fields of one name"):
        decode(packed(text, inline))


@pytest.mark.parametrize("text", [b"", b"null", b"[]", b"1", b'{"a"', b"\xff\xfe", b'{"a": NaN}', b'{"a": 1e999}',
                                  b"[" * 100_000, b'{"a":' * 100_000, b'{"checkpoint_id": ' + b"9" * 10_000 + b"}",
                                  b'{"__class__": "os.system"}'])
def test_other_json_and_no_json_are_refused(text: bytes) -> None:
    with pytest.raises(StateFormatError, match="damaged"):
        decode(packed(text))


def changed(change: Callable[[Any], object]) -> bytes:
    whole, inline = json_of(some_bytes())
    change(whole)
    return packed(json.dumps(whole).encode(), inline)


def segments(whole: Any) -> Any:
    return whole["operators"][1]["subtasks"][0]["segments"]


@pytest.mark.parametrize("path", [
    "../a.seg", "/a.seg", "shared/../../a.seg", "shared//a.seg", "shared/a.seg/b.seg", "a.seg", "chk-1/_metadata",
    "shared/a", "shared/\u0000.seg", "shared/a\n.seg", "C:\\a.seg", "file:///etc/passwd", "shared/.seg",
    "shared/" + "a" * 5000 + ".seg",
])
def test_no_segment_lies_outside(path: str) -> None:
    with pytest.raises(StateFormatError, match="damaged"):
        decode(changed(lambda whole: segments(whole)[0].update(path=path)))


@pytest.mark.parametrize(("change", "text"), [
    (lambda whole: segments(whole)[1].update(bytes=10**12), "lies behind the end of the manifest"),
    (lambda whole: segments(whole)[2].update(bytes=1), "inline bytes, and"),
    (lambda whole: segments(whole).pop(0), "of the epochs 1 to 3 after epoch 0"),
    (lambda whole: segments(whole).reverse(), "after epoch 0"),
    (lambda whole: segments(whole)[2].update(epoch=3), "epochs 3 to 3"),
    (lambda whole: segments(whole)[2].update(epoch=5), "in a snapshot of epoch 4"),
    (lambda whole: whole["operators"][1]["subtasks"].pop(), "does not have each of its 2 subtasks once, in order"),
    (lambda whole: whole["operators"][1]["subtasks"].reverse(), "does not have each of its 2 subtasks once, in order"),
    (lambda whole: whole["operators"][1].update(parallelism=10**9), "expected an integer from 1 to 128"),
    (lambda whole: whole["operators"][1].update(operator_id=whole["operators"][0]["operator_id"]), "one operator_id"),
    (lambda whole: whole["operators"][0].update(uid="counter"), "two operators have one uid"),
    (lambda whole: whole["operators"][1]["subtasks"][0].update(key_groups=[0, 129]), "[start, end) of 0 to 128"),
    (lambda whole: whole["operators"][1]["subtasks"][0]["parts"][1].update(number=0), "two parts of one number"),
    (lambda whole: whole["operators"][1]["subtasks"][0]["parts"][1].update(parent="gone"), "which is not there"),
])
def test_what_does_not_fit_together_is_refused(change: Callable[[Any], object], text: str) -> None:
    with pytest.raises(StateFormatError) as caught:
        decode(changed(change))
    assert text in str(caught.value)


def test_thousands_of_operators_are_no_reason_to_fail() -> None:
    with pytest.raises(StateFormatError, match="one operator_id"):
        decode(changed(lambda whole: whole["operators"].extend([whole["operators"][0]] * 1_000)))


# -- what cannot be written ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("items", "text"), [
    ([(1, 2)], "state 'l' of operator 'Op'[0] is of type tuple, which JSON does not have"),
    ([{1: 2}], "has the key 1, and JSON has only text for keys"),
    ([float("nan")], "[0] is nan, which JSON cannot say"),
    ([float("-inf")], "[0] is -inf, which JSON cannot say"),
    ([{"a": [b"x"]}], "[0].a[0] is of type bytes"),
    ([object()], "is of type object"),
])
def test_a_value_that_json_would_change_is_refused(items: list[Any], text: str) -> None:
    operator = OperatorState(OPERATOR_ID, None, "Op", 1, 1, (
        SubtaskState(0, (0, 1), 1, lists={"l": ListState("split", items)}),))
    manifest = dataclasses.replace(manifest_of([]), operators=(operator,))
    store = MemoryStore()
    with pytest.raises(CheckpointError) as caught:
        write_manifest(store, "chk-1/_metadata", manifest)
    assert text in str(caught.value) and "checkpoint 1 of job 'bids per minute' cannot be written" in str(caught.value)
    assert not store.files


def test_what_could_not_be_read_back_is_not_written() -> None:
    for wrong in (manifest_of([SegmentRef("a.seg", 1, 1, 0, 1)]), manifest_of([SegmentRef("shared/a.seg", 1, 1, 1, 2)]),
                  dataclasses.replace(manifest_of([]), job_id="?"), manifest_of([], kind="backup"),
                  manifest_of([], checkpoint_id=-1)):
        with pytest.raises(CheckpointError, match="cannot be written"):
            encode(wrong)
