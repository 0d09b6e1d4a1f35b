# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: I001
from pyflink.datastream import StreamExecutionEnvironment
from pyflink.table import StreamTableEnvironment, EnvironmentSettings

env = StreamExecutionEnvironment.get_execution_environment()
env.set_checkpoint_dir("/path/to/checkpoint")
settings = EnvironmentSettings.new_instance().in_streaming_mode().use_blink_planner().build()
table_env = StreamTableEnvironment.create(env, settings)

table_env.from_elements([("hello", 1), ("world", 2), ("hello", 3)]).group_by("f0").select("f0, SUM(f1) as cnt")
