# SPDX-License-Identifier: Apache-2.0
"""A job graph settles parallelism, chains and ids, the same way every time."""

from __future__ import annotations

import json

import pyarrow as pa
import pytest

from flinkcore.checkpoint.assignment import key_group_range
from flinkcore.columnar.schema import Schema
from flinkcore.config import Configuration
from flinkcore.errors import ConfigurationError
from flinkcore.graph.job_graph import build, max_parallelism_for
from flinkcore.graph.transformation import Edge, Partitioning, Transformation
from flinkcore.operators.base import Operator

SCHEMA = Schema(["n"], [pa.int64()])


def step(id, name, *inputs, **settings):
    edges = tuple(edge if isinstance(edge, Edge) else Edge(edge) for edge in inputs)
    kind = "Operator" if inputs else "Data Source"
    return Transformation(id, name, kind, SCHEMA, edges, factory=Operator, **settings)


def graph_of(*steps, parallelism=2):
    return build(steps, Configuration(), "job", parallelism)


def chain_names(graph):
    return [chain.name for chain in graph.chains]


def test_forward_steps_of_one_parallelism_share_a_task():
    source = step(1, "source")
    mapped = step(2, "map", source)
    assert chain_names(graph_of(step(3, "sink", mapped))) == ["source -> map -> sink"]


def test_a_change_of_parallelism_rebalances_and_starts_a_task():
    source = step(1, "source", parallelism_max=1)
    graph = graph_of(step(2, "map", source))
    assert chain_names(graph) == ["source", "map"]
    assert graph.nodes[1].inputs[0].partitioning is Partitioning.REBALANCE


def test_a_hash_edge_starts_a_task_unless_there_is_one_subtask():
    def keyed():
        source = step(1, "source")
        return step(2, "window", Edge(source, Partitioning.HASH))

    assert chain_names(graph_of(keyed())) == ["source", "window"]
    assert chain_names(graph_of(keyed(), parallelism=1)) == ["source -> window"]


def test_a_union_starts_a_task():
    first, second = step(1, "a"), step(2, "b")
    assert chain_names(graph_of(step(3, "map", first, second), parallelism=1)) == ["a", "b", "map"]


def test_a_stream_read_twice_chains_into_a_tree():
    source = step(1, "source")
    left, right = step(2, "left", source), step(3, "right", source)
    assert chain_names(graph_of(left, right)) == ["source -> left -> right"]


@pytest.mark.parametrize(
    ("chaining", "chains"),
    [
        ("always", ["a -> b -> c"]),
        ("head", ["a", "b -> c"]),
        ("never", ["a", "b", "c"]),
    ],
)
def test_chaining_can_be_told(chaining, chains):
    a = step(1, "a")
    b = step(2, "b", a, chaining=chaining)
    assert chain_names(graph_of(step(3, "c", b))) == chains


def test_operator_ids_depend_on_the_uid_alone_or_on_the_place():
    def ids(uid, extra):
        steps = [step(1, "source")]
        steps += [step(2, "extra", steps[-1])] if extra else []
        last = step(9, "map", steps[-1], uid=uid)
        return graph_of(last).nodes[-1].operator_id

    assert ids("mine", False) == ids("mine", True)
    assert ids(None, False) == ids(None, False) != ids(None, True)


def test_a_uid_twice_is_refused():
    a = step(1, "a", uid="x")
    with pytest.raises(ConfigurationError, match="'x' stands on both 'a' and 'b'"):
        graph_of(step(2, "b", a, uid="x"))


def test_parallelism_above_max_parallelism_is_refused():
    with pytest.raises(ConfigurationError, match="parallelism 4 is above its max parallelism 2"):
        graph_of(step(1, "a", parallelism=4, max_parallelism=2))


@pytest.mark.parametrize(
    ("parallelism", "expected"), [(1, 128), (85, 128), (86, 256), (1000, 2048), (40000, 32768)]
)
def test_default_max_parallelism_is_flinks(parallelism, expected):
    assert max_parallelism_for(parallelism) == expected


@pytest.mark.parametrize("parallelism", [1, 2, 3, 7, 128])
def test_key_group_ranges_cover_all_groups_and_match_the_routing(parallelism):
    for subtask in range(parallelism):
        groups = [g for g in range(128) if g * parallelism // 128 == subtask]
        assert list(key_group_range(128, parallelism, subtask)) == groups


def test_the_plan_leaves_hidden_steps_out():
    source = step(1, "numbers")
    key = step(2, "KeyBy", source, hidden=True)
    plan = json.loads(graph_of(step(3, "window", Edge(key, Partitioning.HASH))).to_json())
    assert [(node["id"], node["type"], node["pact"]) for node in plan["nodes"]] == [
        (1, "Source: numbers", "Data Source"),
        (2, "window", "Operator"),
    ]
    assert plan["nodes"][1]["predecessors"] == [{"id": 1, "ship_strategy": "HASH", "side": "second"}]
