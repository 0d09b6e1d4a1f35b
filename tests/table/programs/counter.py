# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: F401, I001
from pyflink.datastream import StreamExecutionEnvironment
from pyflink.table import StreamTableEnvironment, EnvironmentSettings
from pyflink.table.window import Tumble

env = StreamExecutionEnvironment.get_execution_environment()
settings = EnvironmentSettings.new_instance().in_streaming_mode().use_blink_planner().build()
table_env = StreamTableEnvironment.create(env, settings)

table_env.from_elements([1, 2, 3, 4, 5]).group_by("f0").select("f0, COUNT(f0) as cnt").tumble("f0", 1)
