# SPDX-License-Identifier: Apache-2.0
"""Configuration keeps, types, compares and prints values as Flink's does."""

from __future__ import annotations

import datetime
from copy import deepcopy

import pytest

from flinkcore import options
from flinkcore.config import ConfigOptions, Configuration
from flinkcore.config_text import parse_duration_ms, parse_duration_ns, parse_list, parse_memory_bytes
from flinkcore.errors import ConfigurationError


def test_values_are_set_and_read_by_type():
    conf = Configuration()
    conf.set_string("str", "v1").set_integer("int", 2).set_boolean("bool", True).set_float("float", 0.5)
    conf.set_bytearray("bytes", bytearray([1, 2]))
    assert conf.get_string("str", "") == "v1"
    assert conf.get_integer("int", 0) == 2
    assert conf.get_boolean("bool", False) is True
    assert conf.get_float("float", 0) == 0.5
    assert conf.get_bytearray("bytes", bytearray()) == bytearray([1, 2])
    assert (conf.get_string("x", "d"), conf.get_integer("x", 1), conf.get_float("x", 1)) == ("d", 1, 1.0)


def test_text_is_converted_when_it_is_read():
    conf = Configuration.from_dict({"i": "12", "b": "TRUE", "f": "1e3", "bad": "x"})
    assert (conf.get_integer("i", 0), conf.get_boolean("b", False), conf.get_float("f", 0)) == (
        12,
        True,
        1000.0,
    )
    assert conf.get_string("i", "") == "12"
    with pytest.raises(ConfigurationError, match="option 'bad' is 'x', which is not of type long"):
        conf.get_integer("bad", 0)
    with pytest.raises(ConfigurationError, match="expected true or false"):
        conf.get_boolean("bad", False)


def test_content_decides_equality_hash_and_text():
    conf, other = Configuration(), Configuration()
    conf.set_string("k1", "v1").set_integer("k2", 1)
    other.set_string("k1", "v1")
    assert conf != other and hash(conf) != hash(other)
    other.set_integer("k2", 1)
    assert conf == other and hash(conf) == hash(other)
    assert str(conf) == "{k1=v1, k2=1}"
    assert conf != Configuration().set_string("k1", "v1").set_string("k2", "1")


def test_copies_are_independent():
    conf = Configuration().set_string("k", "v")
    copies = [deepcopy(conf), Configuration(conf)]
    assert copies == [conf, conf]
    for copy in copies:
        copy.set_string("k", "w")
        assert copy != conf


def test_dicts_in_and_out():
    conf = (
        Configuration()
        .set_string("k1", "v1")
        .set_integer("k2", 1)
        .set_float("k3", 1.2)
        .set_boolean("k4", True)
    )
    assert conf.to_dict() == {"k1": "v1", "k2": "1", "k3": "1.2", "k4": "true"}
    conf.set_bytearray("k5", bytearray([1]))
    target: dict[str, object] = {}
    conf.add_all_to_dict(target)
    assert target == {"k1": "v1", "k2": 1, "k3": 1.2, "k4": True, "k5": bytearray([1])}
    assert Configuration().add_all(Configuration().set_string("a", "b"), "p_").key_set() == {"p_a"}
    assert conf.remove_config("k1") and not conf.remove_config("k1") and not conf.contains_key("k1")
    assert Configuration().set_boolean("off", False).remove_config("off")


def test_options_have_types_defaults_and_older_keys():
    conf = Configuration()
    assert conf.get(options.AUTO_WATERMARK_INTERVAL) == 200
    assert conf.get(options.PARALLELISM) is None and conf.get(options.PARALLELISM, 4) == 4
    conf.set_string("pipeline.auto-watermark-interval", "1 s")
    assert conf.get(options.AUTO_WATERMARK_INTERVAL) == 1000
    conf.set_string("execution.buffer-timeout", "5")
    assert conf.get(options.BUFFER_TIMEOUT) == 5 and conf.contains(options.BUFFER_TIMEOUT)
    conf.set(options.BUFFER_TIMEOUT, datetime.timedelta(seconds=2))
    assert conf.get(options.BUFFER_TIMEOUT) == 2000
    assert conf.to_dict()["execution.buffer-timeout.interval"] == "2000 ms"
    assert conf.set(options.RUNTIME_MODE, "batch").get(options.RUNTIME_MODE) == "BATCH"
    assert conf.set(options.GLOBAL_JOB_PARAMETERS, {"a": "b"}).get(options.GLOBAL_JOB_PARAMETERS) == {
        "a": "b"
    }
    conf.set_string("pipeline.global-job-parameters", "{a: b, 'c': d}")
    assert conf.get(options.GLOBAL_JOB_PARAMETERS) == {"a": "b", "c": "d"}


def test_a_wrong_value_of_an_option_is_refused_and_not_kept():
    conf = Configuration().set(options.BATCH_ROWS, 7)
    with pytest.raises(
        ConfigurationError, match=r"'flinkcore.batch-rows' is 'many', which is not of type int"
    ):
        conf.set(options.BATCH_ROWS, "many")
    with pytest.raises(ConfigurationError, match="integer of 32 bits"):
        conf.set(options.BATCH_ROWS, 2**31)
    assert conf.get(options.BATCH_ROWS) == 7
    with pytest.raises(ConfigurationError, match="expected one of STREAMING, BATCH, AUTOMATIC"):
        conf.set(options.RUNTIME_MODE, "fast")
    assert not conf.contains(options.RUNTIME_MODE)


def test_every_option_has_its_own_key():
    known = [option for name, option in vars(options).items() if name.isupper()]
    keys = [key for option in known for key in (option.key, *option.older_keys)]
    assert len(keys) == len(set(keys))


def test_option_builders():
    option = ConfigOptions.key("a.b").int_type().default_value(3)
    assert Configuration().get(option) == 3
    assert Configuration.from_dict({"a.b": "4"}).get(option) == 4
    assert option == ConfigOptions.key("a.b").int_type().default_value(3)
    assert Configuration().get(ConfigOptions.key("c").string_type().no_default_value()) is None
    for build in ("boolean_type", "long_type", "float_type", "double_type"):
        assert getattr(ConfigOptions.key("k"), build)().no_default_value().key == "k"


@pytest.mark.parametrize(("text", "ms"), [
    ("10 min", 600_000), ("200ms", 200), ("7", 7), ("1 d", 86_400_000), ("2 hours", 7_200_000), ("3S", 3000),
    ("1500 µs", 1), ("999999 ns", 0), ("PT5S", 5000), ("pt1.5s", 1500), ("P1DT2H", 93_600_000),
    ("PT-1M", -60_000), ("-PT1S", -1000), ("P2D", 172_800_000), (" 5 s ", 5000),
])  # fmt: skip
def test_durations(text, ms):
    assert parse_duration_ms(text) == ms


@pytest.mark.parametrize("text", ["", "P", "PT", "5 parsecs", "s", "-5 s", "1.5 s", "P1DT"])
def test_text_that_is_no_duration(text):
    with pytest.raises(ConfigurationError, match="is not a duration"):
        parse_duration_ns(text)


def test_memory_sizes_and_lists():
    assert [parse_memory_bytes(text) for text in ("512", "1kb", "64 MB", "1g", "2 tebibytes")] == [
        512, 1024, 64 << 20, 1 << 30, 2 << 40]  # fmt: skip
    with pytest.raises(ConfigurationError, match="is not a memory size"):
        parse_memory_bytes("1 pb")
    for text in ("[jar1, jar2, jar3]", "- jar1\n- jar2\n- jar3", "jar1;jar2;jar3"):
        assert Configuration.parse_list_value(text) == ["jar1", "jar2", "jar3"]
    assert Configuration.parse_list_value(None) == parse_list("") == parse_list("[]") == []
    assert parse_list("['a, b', \"c\"]") == ["a, b", "c"]
