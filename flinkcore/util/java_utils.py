# SPDX-License-Identifier: Apache-2.0
"""The configuration of an environment, asked for as PyFlink programs do (pyflink.util.java_utils)."""

from __future__ import annotations

from flinkcore.config import Configuration
from flinkcore.datastream.stream_execution_environment import StreamExecutionEnvironment
from flinkcore.errors import ConfigurationError


def get_j_env_configuration(j_env: StreamExecutionEnvironment) -> Configuration:
    """The options of an environment, live:

    Configuration(j_configuration=get_j_env_configuration(env._j_stream_execution_environment))
    """
    if not isinstance(j_env, StreamExecutionEnvironment):
        raise ConfigurationError(
            f"get_j_env_configuration takes env._j_stream_execution_environment, got {type(j_env).__name__}"
        )
    return j_env.get_configuration()
