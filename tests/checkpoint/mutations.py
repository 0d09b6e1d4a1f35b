# SPDX-License-Identifier: Apache-2.0
"""Files of checkpoints are damaged, swapped, deleted and forged; what came of it is checked. One seed, one mutation.

    python -m tests.checkpoint.mutations 10000           # a campaign; the seeds follow --first
    python -m tests.checkpoint.mutations 1 --first 4711  # replays one
"""

from __future__ import annotations

import argparse
import random
from collections import Counter
from functools import cache

from xxhash import xxh3_64_intdigest

from flinkcore.checkpoint.inspect import faults_of
from flinkcore.checkpoint.layout import Checkpoint, find_checkpoints
from flinkcore.checkpoint.manifest import decode, encode, read_manifest
from flinkcore.checkpoint.memory_store import MemoryStore
from flinkcore.checkpoint.segment import read_segment
from flinkcore.errors import StateFormatError
from tests.checkpoint.manifests import (
    blocks_of,
    chain_of,
    manifest_of,
    write_checkpoint,
    write_segment,
)

Files = dict[str, bytes]


@cache
def original() -> Files:
    """Three checkpoints that share segments, of every codec, some of which lie in the manifests."""
    job = MemoryStore()
    first = write_checkpoint(job, 1)
    second = write_checkpoint(job, 2, chain_of(first), inline_bytes_max=20_480)
    chain = [write_segment(job, f"shared/{codec}.seg", blocks_of(epoch, 30), since=epoch - 1, epoch=epoch, codec=codec)
             for epoch, codec in ((1, "none"), (2, "lz4"), (3, "zstd"))]
    chain.append(write_segment(job, "", blocks_of(9), since=3, epoch=4, codec="lz4", inline_bytes_max=20_480))
    third = manifest_of(chain, checkpoint_id=5)
    job.create_if_absent("chk-5/_metadata", encode(third))
    assert second.paths()
    return dict(job.files)


@cache
def contents() -> dict[int, list[tuple[int, bytes]]]:
    """By checkpoint, all that its segments hold."""
    return {checkpoint.checkpoint_id: content_of(checkpoint) for checkpoint in find_checkpoints(store_of(original()))}


def store_of(files: Files) -> MemoryStore:
    store = MemoryStore()
    store.files = dict(files)
    return store


def content_of(checkpoint: Checkpoint) -> list[tuple[int, bytes]]:
    return [(part, bytes(payload)) for ref in checkpoint.complete().segments()
            for part, payload in read_segment(checkpoint.home, ref)]


# -- mutations: each changes the files and says what it did ---------------------------------------------------


def flip(files: Files, rng: random.Random) -> str:
    path = rng.choice(sorted(files))
    data = bytearray(files[path])
    for _ in range(rng.choice((1, 1, 1, 2, 8))):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    files[path] = bytes(data)
    return f"bits of {path}"


def truncate(files: Files, rng: random.Random) -> str:
    path = rng.choice(sorted(files))
    files[path] = files[path][: rng.randrange(len(files[path]))]
    return f"the end of {path}"


def extend(files: Files, rng: random.Random) -> str:
    path = rng.choice(sorted(files))
    files[path] += rng.choice((b"\0", b"x" * 100, files[path]))
    return f"more in {path}"


def blank(files: Files, rng: random.Random) -> str:
    """A sector that was never written."""
    path = rng.choice(sorted(files))
    start = rng.randrange(len(files[path]))
    end = rng.randint(start + 1, len(files[path]))
    files[path] = files[path][:start] + bytes(end - start) + files[path][end:]
    return f"zeros in {path}"


def move_inside(files: Files, rng: random.Random) -> str:
    path = rng.choice(sorted(files))
    data = files[path]
    size = rng.randint(1, len(data) // 2)
    source, target = rng.randrange(len(data) - size), rng.randrange(len(data) - size)
    files[path] = data[:target] + data[source : source + size] + data[target + size :]
    return f"a piece of {path} twice"


def swap(files: Files, rng: random.Random) -> str:
    one, other = rng.sample(sorted(files), 2)
    files[one], files[other] = files[other], files[one]
    return f"{one} and {other} swapped"


def copy_over(files: Files, rng: random.Random) -> str:
    one, other = rng.sample(sorted(files), 2)
    files[one] = files[other]
    return f"{other} in the place of {one}"


def delete(files: Files, rng: random.Random) -> str:
    path = rng.choice(sorted(files))
    del files[path]
    return f"{path} deleted"


def duplicate(files: Files, rng: random.Random) -> str:
    path = rng.choice([path for path in sorted(files) if path.startswith("chk-")])
    new = f"chk-{rng.randrange(10, 20)}/_metadata"
    files[new] = files[path]
    return f"{path} also as {new}"


MUTATIONS = (flip, flip, flip, truncate, extend, blank, move_inside, swap, copy_over, delete, duplicate)


def check(seed: int) -> str:
    """Applies the mutation of a seed. AssertionError when it was not detected, or anything else was. -> its name"""
    rng = random.Random(seed)
    before = original()
    files = dict(before)
    mutation = rng.choice(MUTATIONS)
    what = mutation(files, rng)
    replay = f"{what}; python -m tests.checkpoint.mutations 1 --first {seed}"
    changed = {path for path in before.keys() | files.keys() if before.get(path) != files.get(path)}
    found = {checkpoint.checkpoint_id: checkpoint for checkpoint in find_checkpoints(store_of(files))}
    for checkpoint_id, content in contents().items():
        own = {f"chk-{checkpoint_id}/_metadata"}
        own |= read_manifest(store_of(before), f"chk-{checkpoint_id}/_metadata").paths()
        checkpoint = found.pop(checkpoint_id, None)
        faults = ["it is gone"] if checkpoint is None else list(faults_of(checkpoint))
        assert bool(faults) == bool(own & changed), f"checkpoint {checkpoint_id}: {faults}; {replay}"
        if checkpoint is not None and not faults:
            assert content_of(checkpoint) == content, replay
    for checkpoint in found.values():  # one that was never written
        assert checkpoint.damaged, replay
    return mutation.__name__


# -- forgeries: the checksums are put right again, so that only the checks behind them are left --------------


def forge(seed: int) -> str:
    """Whatever a manifest or segment says: it is refused with a StateFormatError, or read. -> what came of it"""
    rng = random.Random(seed)
    files = dict(original())
    path = rng.choice(sorted(files))
    data = files[path]
    for _ in range(rng.choice((1, 1, 2, 4))):
        data = _changed(data, path, rng)
    if path.startswith("chk-"):
        text = int.from_bytes(data[8:16], "little")
        data = data[:24] + xxh3_64_intdigest(data[:24] + data[32:]).to_bytes(8, "little") + data[32:]
        try:
            manifest = decode(data)
        except StateFormatError:
            return "manifest refused"
        assert text
        assert decode(b"".join(encode(manifest))) == manifest
        refs = list(manifest.segments())
    else:
        count = int.from_bytes(data[-12:-8], "little")
        start = max(0, len(data) - 16 - 24 * count)
        digest = xxh3_64_intdigest(data[:32] + data[start:-8])
        files[path] = data[:-8] + digest.to_bytes(8, "little")
        refs = [ref for checkpoint in find_checkpoints(store_of(original())) for ref in checkpoint.complete().segments()
                if ref.path == path][:1]
        refs = [type(ref)(ref.path, len(data), digest, ref.since, ref.epoch) for ref in refs]
    for ref in refs:
        try:
            for _part, payload in read_segment(store_of(files), ref):
                assert len(payload) <= 64 << 20
        except StateFormatError:
            return "segment refused"
    return "read"


def _changed(data: bytes, path: str, rng: random.Random) -> bytes:
    """Another number or letter somewhere; in manifests mostly in the JSON, in segments mostly in the index."""
    low = 32 if path.startswith("chk-") or rng.random() < 0.3 else max(0, len(data) - 24 * 10)
    position = rng.randrange(low, len(data))
    new = rng.choice((bytes([rng.randrange(256)]), b"0", b"9", b"-", b'"', b"{", b"[", b"null", b"\xff\xff\xff\xff"))
    size = len(new) if rng.random() < 0.8 or not path.startswith("chk-") else rng.randrange(4)
    changed = data[:position] + new + data[position + size :]
    if path.startswith("chk-"):  # the JSON may be longer now
        added = len(changed) - len(data)
        changed = changed[:8] + (int.from_bytes(data[8:16], "little") + added).to_bytes(8, "little") + changed[16:]
    return changed


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.checkpoint.mutations")
    parser.add_argument("count", type=int)
    parser.add_argument("--first", type=int, default=0)
    options = parser.parse_args()
    seeds = range(options.first, options.first + options.count)
    print("detected", dict(Counter(map(check, seeds))))
    print("forged  ", dict(Counter(map(forge, seeds))))


if __name__ == "__main__":
    main()
