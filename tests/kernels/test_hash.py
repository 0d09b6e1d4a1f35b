# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math
import struct

import numpy as np
import pyarrow as pa
import pytest

from flinkcore._native.column import Column
from flinkcore._native.hash import hash_columns

MASK = 2**64 - 1
SEED = 0x9E3779B97F4A7C15
NULL = 0xA0761D6478BD642F


def hash_word_naive(word, seed):
    h = word ^ seed
    h = (h ^ h >> 33) * 0xFF51AFD7ED558CCD & MASK
    h = (h ^ h >> 33) * 0xC4CEB9FE1A85EC53 & MASK
    return h ^ h >> 33


def fold_multiply(a, b):
    return (a * b & MASK) ^ (a * b >> 64)


def hash_bytes_naive(data, seed):
    n = len(data)

    def word(start, width):
        return int.from_bytes(data[start : start + width], "little")

    if n > 16:
        for i in range(0, n - 16, 16):
            seed = fold_multiply(word(i, 8) ^ 0xE7037ED1A0B428DB, word(i + 8, 8) ^ seed)
        a, b = word(n - 16, 8), word(n - 8, 8)
    elif n >= 4:
        middle = (n >> 3) << 2
        a = word(0, 4) << 32 | word(middle, 4)
        b = word(n - 4, 4) << 32 | word(n - 4 - middle, 4)
    elif n:
        a, b = data[0] << 16 | data[n >> 1] << 8 | data[-1], 0
    else:
        a = b = 0
    return fold_multiply(0x8EBC6AF09C88C6E3 ^ n, fold_multiply(a ^ 0xE7037ED1A0B428DB, b ^ seed))


def hash_value_naive(value, seed):
    if value is None:
        return hash_word_naive(NULL, seed)
    if isinstance(value, float):
        if math.isnan(value):
            return hash_word_naive(0x7FF8000000000000, seed)
        return hash_word_naive(struct.unpack("<Q", struct.pack("<d", value))[0], seed)
    if isinstance(value, int):                             # a bool too, as 0 or 1
        return hash_word_naive(value & MASK, seed)
    return hash_bytes_naive(value.encode() if isinstance(value, str) else value, seed)


def hash_naive(rows):
    hashes = []
    for row in rows:
        h = SEED
        for value in row:
            h = hash_value_naive(value, h)
        hashes.append(h)
    return hashes


def columns_of(*arrays):
    return [Column.from_arrow(array) for array in arrays]


def rows_of(*arrays):
    return list(zip(*(array.to_pylist() for array in arrays)))


INTS = [0, 1, -1, 2**63 - 1, -(2**63), 42, None, NULL - 2**64]
FLOATS = [0.0, -0.0, math.nan, math.inf, -math.inf, 1.5, None, 5e-324]
BOOLS = [True, False, None, True, False, True, None, False]
STRINGS = ["", None, "a", "a\0", "\0", "straße", "x" * 16, "日本語" * 9]


def random_arrays(n, seed):
    rng = np.random.default_rng(seed)
    absent = rng.random(n) < 0.2
    lengths = rng.integers(0, 70, n)
    return [
        pa.array(rng.integers(-(2**63), 2**63, n), mask=absent),
        pa.array(rng.standard_normal(n), mask=absent[::-1]),
        pa.array(rng.random(n) < 0.5, mask=absent),
        pa.array([None if a else rng.bytes(k) for a, k in zip(absent[::-1], lengths)], pa.binary()),
    ]


@pytest.mark.parametrize("array", [
    pa.array(INTS, pa.int64()), pa.array(FLOATS, pa.float64()), pa.array(BOOLS), pa.array(STRINGS),
    pa.array([s.encode() if s is not None else None for s in STRINGS], pa.binary()),
], ids=["int64", "float64", "bool", "string", "binary"])
def test_hash_is_the_naive_hash_at_every_edge(array):
    for piece in (array, array.slice(3), array.slice(1, 1), array.slice(0, 0), array.drop_null()):
        assert hash_columns(columns_of(piece)).tolist() == hash_naive(rows_of(piece))


@pytest.mark.parametrize("n", [0, 1, 55, 56, 57, 511, 512, 513, 1300])
def test_hash_of_several_columns_is_the_naive_hash_in_order(n):
    arrays = random_arrays(n, seed=n)
    hashes = hash_columns(columns_of(*arrays))
    assert hashes.dtype == np.uint64
    assert hashes.tolist() == hash_naive(rows_of(*arrays))
    assert hash_columns(columns_of(*arrays[::-1])).tolist() == hash_naive(rows_of(*arrays[::-1]))


def test_slices_hash_like_their_rows_wherever_they_start():
    arrays = random_arrays(700, seed=5)
    whole = hash_columns(columns_of(*arrays))
    for offset in (1, 7, 8, 9, 63, 65, 510):
        sliced = hash_columns(columns_of(*(array.slice(offset, 150) for array in arrays)))
        assert (sliced == whole[offset : offset + 150]).all()
        sliced = hash_columns([column.slice(offset, 150) for column in columns_of(*arrays)])
        assert (sliced == whole[offset : offset + 150]).all()


@pytest.mark.parametrize("length", range(67))
def test_every_length_of_bytes_hashes_like_the_naive_one(length):
    data = bytes((7 * i + length) % 256 for i in range(length))
    values = [data, data[::-1], b"\xff" * 17, data]  # with other bytes behind, and with none
    assert hash_columns(columns_of(pa.array(values))).tolist() == hash_naive([(value,) for value in values])


def test_hashes_are_part_of_the_state_format():
    """Golden: a change here moves keys to other key groups, so it needs a new state format version."""
    def hashes(*arrays):
        return hash_columns(columns_of(*arrays)).tolist()

    assert hashes(pa.array([0, 1, -1, None], pa.int64())) == GOLDEN["int64"]
    assert hashes(pa.array([0.0, -0.0, math.nan, 1.5])) == GOLDEN["float64"]
    assert hashes(pa.array([False, True, None])) == GOLDEN["bool"]
    strings = ["", "a", "flink", "tumbling window", "a longer key of forty bytes, no more 40"]
    assert hashes(pa.array(strings)) == GOLDEN["string"]
    assert hashes(pa.array([7, None]), pa.array(["x", None])) == GOLDEN["int64, string"]


def test_integers_hash_by_value_whatever_their_width():
    values = [0, 1, 100, None]
    wide = hash_columns(columns_of(pa.array(values, pa.int64())))
    for narrow in (pa.int8(), pa.uint16(), pa.int32()):
        assert (hash_columns(columns_of(pa.array(values, narrow))) == wide).all()


def test_nans_are_one_key_and_zeros_are_two():
    bits = np.array([0x7FF8000000000000, 0xFFF8000000000001, 0x7FF0000000000001, 2**63 - 1], np.uint64)
    assert len(set(hash_columns([Column.from_numpy(bits.view(np.float64))]).tolist())) == 1
    assert len(set(hash_columns(columns_of(pa.array([0.0, -0.0, math.inf, -math.inf]))).tolist())) == 4


def test_strings_and_binary_hash_alike_dictionary_or_not():
    strings = pa.array(["a", "b", None, "a"])
    expected = hash_columns(columns_of(strings)).tolist()
    assert hash_columns(columns_of(strings.cast(pa.binary()))).tolist() == expected
    assert hash_columns(columns_of(strings.dictionary_encode())).tolist() == expected


@pytest.mark.parametrize("kind", ["sequence", "multiples", "doubles", "strings", "pairs", "equal pairs"])
def test_low_and_high_bits_are_uniform(kind):
    n = 1 << 16
    i = np.arange(n)
    columns = {
        "sequence": lambda: [Column.from_numpy(i)],
        "multiples": lambda: [Column.from_numpy(i << 20)],
        "doubles": lambda: [Column.from_numpy(i * 0.25)],
        "strings": lambda: columns_of(pa.array([f"user-{k}" for k in range(n)])),
        "pairs": lambda: [Column.from_numpy(i % 256), Column.from_numpy(i // 256)],
        "equal pairs": lambda: [Column.from_numpy(i), Column.from_numpy(i)],
    }[kind]()
    hashes = hash_columns(columns)
    assert len(np.unique(hashes)) == n
    assert len(np.unique(hashes >> np.uint64(32))) > n - 5         # the table's tag: birthday bound is 0.5
    for buckets in (hashes % np.uint64(128), hashes % np.uint64(1000), hashes >> np.uint64(57),
                    (hashes >> np.uint64(32)) % np.uint64(1024)):
        counts = np.bincount(buckets.astype(np.int64))
        expected = n / len(counts)
        chi_squared = float(((counts - expected) ** 2 / expected).sum())
        assert abs(chi_squared - len(counts)) < 6 * math.sqrt(2 * len(counts))


@pytest.mark.parametrize("make", [
    lambda values: Column.from_numpy(values.view(np.int64)),
    lambda values: Column.from_arrow(pa.array([b"prefix" + v.tobytes() for v in values])),
], ids=["int64", "bytes"])
def test_one_input_bit_flips_half_of_the_output_bits(make):
    values = np.random.default_rng(1).integers(0, 2**64, 500, dtype=np.uint64)
    base = hash_columns([make(values)])
    for bit in range(64):
        flipped = hash_columns([make(values ^ np.uint64(1 << bit))])
        changed = np.unpackbits((base ^ flipped).view(np.uint8)).reshape(-1, 64).mean(axis=0)
        assert (abs(changed - 0.5) < 0.15).all()                   # each output bit: 6.7 sigma


def test_columns_that_no_kernel_reads_are_refused():
    with pytest.raises(TypeError, match="key column 1 holds Python objects"):
        hash_columns([Column.from_numpy([1]), Column.from_objects([object()])])
    with pytest.raises(TypeError, match="nested"):
        hash_columns(columns_of(pa.array([[1]])))
    with pytest.raises(TypeError, match="expected a Column"):
        hash_columns([pa.array([1])])
    with pytest.raises(ValueError, match="at least one key column"):
        hash_columns([])
    with pytest.raises(ValueError, match="key column 1 has 2 rows, column 0 has 1"):
        hash_columns(columns_of(pa.array([1]), pa.array([1, 2])))


GOLDEN = {
    "int64": [
        0x9CA066F1A4AB2EEA,
        0x25B775FAECA8F520,
        0x3CD617BBBCC39640,
        0xC5292BB70CEE6760,
    ],
    "float64": [
        0x9CA066F1A4AB2EEA,
        0x11C0B7745EB88D61,
        0x7F9A866907B600AA,
        0x35AFCF05F2013659,
    ],
    "bool": [
        0x9CA066F1A4AB2EEA,
        0x25B775FAECA8F520,
        0xC5292BB70CEE6760,
    ],
    "string": [
        0xBEB124275D76700E,
        0x47A24FEDB2BB98D9,
        0x08854A5065BB8945,
        0x10176DDA3F4399D6,
        0x50C9691F51E77FBE,
    ],
    "int64, string": [
        0x3F78D0F777E41FB0,
        0xD1C3A6E68CC0F507,
    ],
}
