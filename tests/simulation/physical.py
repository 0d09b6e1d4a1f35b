# SPDX-License-Identifier: Apache-2.0
"""What must not change an answer: parallelism, partitioning, chaining, sizes of batches and channels, the seed."""

from __future__ import annotations

import random
from typing import Any

from flinkcore.datastream import DataStream, StreamExecutionEnvironment


class Physical:
    """One way to run a job. `ordered` keeps to ways in which the records of a key stay in order.

    process : of a job that is rescaled at each crash, how many processes there were before; None for other jobs.
        Then all that makes a step another one is the same in each process, and parallelism differs.
    """

    def __init__(self, seed: str, ordered: bool, batch_mode: bool, process: int | None = None) -> None:
        self.rng = random.Random(seed)
        self.process = process
        self.rescaled = process is not None
        self.scale = self.rng if process is None else random.Random(f"{seed}, process {process}")
        self.ordered = ordered
        self.env = StreamExecutionEnvironment.get_execution_environment()
        self.parallelism_max = 1 if ordered else self.rng.choice([1, 2, 4])
        self.env.set_parallelism(self.parallelism())
        # Watermarks so far back that nothing can be late, not even behind a source that was thought idle.
        self.patient = self.rng.random() < 0.3 or (self.rescaled and not ordered)
        if self.rng.random() < 0.2:
            self.env.disable_operator_chaining()
        if self.rng.random() < 0.3:
            self.env.set_max_parallelism(self.rng.choice([4, 7, 128, 1000]))
        self.options: dict[str, Any] = {
            "flinkcore.batch-rows": self.rng.choice([1, 2, 5, 16, 64, 131_072, 131_072]),
            "flinkcore.channel-batches": self.rng.choice([1, 1, 2, 8]),
            "flinkcore.functions.translate": self.rng.choice(["true", "true", "false"]),
            "pipeline.auto-watermark-interval": f"{self.rng.choice([0, 1, 50, 200])} ms",
            "execution.runtime-mode": "BATCH" if batch_mode else "STREAMING",
        }
        if self.rescaled:  # state of either form goes on in the other
            self.options["flinkcore.functions.translate"] = self.scale.choice(["true", "true", "false"])
        for key, value in self.options.items():
            self.env.get_configuration().set_string(key, str(value))

    def parallelism(self) -> int:
        return self.scale.randint(1, self.parallelism_max)

    def place(self, stream: DataStream, parallelism: int | None = None) -> DataStream:
        """Settings of the last step that leave its results alone."""
        if parallelism is None and not self.ordered and self.rng.random() < 0.6:
            parallelism = self.parallelism()
        elif parallelism is not None and self.rescaled:
            parallelism = self.scale.randint(1, 4)
        if parallelism is not None:
            stream.set_parallelism(parallelism)
        chance = self.rng.random()
        if chance < 0.15:
            stream.disable_chaining()
        elif chance < 0.3:
            stream.start_new_chain()
        return stream

    def route(self, stream: DataStream) -> DataStream:
        """Any way to the next step that neither loses nor doubles records."""
        if self.ordered:
            return stream
        way = self.rng.choice(["", "", "rebalance", "rescale", "shuffle", "global_", "custom"])
        if way == "custom":
            return stream.partition_custom(lambda key, count: len(key) % count, lambda record: repr(record))
        return getattr(stream, way)() if way else stream
