# SPDX-License-Identifier: Apache-2.0
"""The options that the engine reads: Flink's keys, types, defaults; the engine's own under flinkcore.*.

    batch_rows = configuration.get(options.BATCH_ROWS)

Durations are milliseconds (int), memory sizes bytes (int). A default that differs from Flink's says so.
"""

from __future__ import annotations

from typing import Any

from flinkcore.config import ConfigOption

# -- the job -------------------------------------------------------------------------------------------------
#: None: as many as there are processors, which is what a local Flink environment takes.
PARALLELISM = ConfigOption[int]("parallelism.default", "int")
#: -1: chosen from the parallelism, as Flink's KeyGroupRangeAssignment does.
MAX_PARALLELISM = ConfigOption("pipeline.max-parallelism", "int", -1)
PIPELINE_NAME = ConfigOption[str]("pipeline.name")
RUNTIME_MODE = ConfigOption(
    "execution.runtime-mode", "enum", "STREAMING", choices=("STREAMING", "BATCH", "AUTOMATIC")
)
AUTO_WATERMARK_INTERVAL = ConfigOption("pipeline.auto-watermark-interval", "duration", 200)
OPERATOR_CHAINING = ConfigOption(
    "pipeline.operator-chaining.enabled", "boolean", True, older_keys=("pipeline.operator-chaining",)
)
CHAIN_DIFFERENT_MAX_PARALLELISM = ConfigOption(
    "pipeline.operator-chaining.chain-operators-with-different-max-parallelism", "boolean", True
)
OBJECT_REUSE = ConfigOption("pipeline.object-reuse", "boolean", False)
AUTO_GENERATE_UIDS = ConfigOption("pipeline.auto-generate-uids", "boolean", True)
GLOBAL_JOB_PARAMETERS = ConfigOption[Any]("pipeline.global-job-parameters", "map")
TASK_CANCELLATION_INTERVAL = ConfigOption(
    "task.cancellation.interval", "duration", 30_000, older_keys=("task.cancellation-interval",)
)
TASK_CANCELLATION_TIMEOUT = ConfigOption("task.cancellation.timeout", "duration", 180_000)
LATENCY_INTERVAL = ConfigOption("metrics.latency.interval", "duration", 0)

# -- batches and channels ------------------------------------------------------------------------------------
#: The longest that a record waits in an unfinished batch; 0: flush after every read.
BUFFER_TIMEOUT = ConfigOption(
    "execution.buffer-timeout.interval", "duration", 100, older_keys=("execution.buffer-timeout",)
)
BUFFER_TIMEOUT_ENABLED = ConfigOption("execution.buffer-timeout.enabled", "boolean", True)
# Half of it costs two subtasks 11 % more time per record in W1, as threads hand over twice as often, and a projection
# 15 %; twice of it gained nothing more.
BATCH_ROWS = ConfigOption("flinkcore.batch-rows", "int", 131_072, "The most rows of a batch; a slow job has less.")
CHANNEL_BATCHES = ConfigOption(
    "flinkcore.channel-batches", "int", 8, "The most batches that wait in one channel."
)
THREADS = ConfigOption(
    "flinkcore.threads", "enum", "AUTO",
    "What has a thread: each task; each slot, but for tasks that may wait; or slots if they are as many as processors.",
    choices=("AUTO", "TASK", "SLOT"),
)

FUSE = ConfigOption(
    "flinkcore.operators.fuse", "boolean", True,
    "Whether filters and projections behind each other are one pass over a batch; if not, each is its own.",
)

# -- Python functions ----------------------------------------------------------------------------------------
#: Functions run in the process of the job either way; "thread" is heeded where PyFlink refuses it.
PYTHON_OPERATOR_CHAINING = ConfigOption("python.operator-chaining.enabled", "boolean", True)
PYTHON_EXECUTION_MODE = ConfigOption("python.execution-mode", "string", "process")
BUNDLE_SIZE = ConfigOption("python.fn-execution.bundle.size", "int", 1_000)
BUNDLE_TIME = ConfigOption("python.fn-execution.bundle.time", "duration", 1_000)
ARROW_BATCH_SIZE = ConfigOption("python.fn-execution.arrow.batch.size", "int", 1_000)
#: Modules, packages and folders that functions import; requirements as "file" or "file#folder of packages"; archives
#: as "path" or "path#folder"; the interpreter that functions are meant for. Lists are between commas.
PYTHON_FILES = ConfigOption[str]("python.files")
PYTHON_REQUIREMENTS = ConfigOption[str]("python.requirements")
PYTHON_ARCHIVES = ConfigOption[str]("python.archives")
PYTHON_EXECUTABLE = ConfigOption[str]("python.executable")
TRANSLATE_FUNCTIONS = ConfigOption(
    "flinkcore.functions.translate", "boolean", True,
    "Whether functions run on columns where they can; if not, Python calls them for each record.",
)

# -- tables --------------------------------------------------------------------------------------------------
MINI_BATCH = ConfigOption("table.exec.mini-batch.enabled", "boolean", False)
MINI_BATCH_LATENCY = ConfigOption("table.exec.mini-batch.allow-latency", "duration", 0)
MINI_BATCH_SIZE = ConfigOption("table.exec.mini-batch.size", "long", -1)
TABLE_STATE_TTL = ConfigOption("table.exec.state.ttl", "duration", 0)
LOCAL_TIME_ZONE = ConfigOption("table.local-time-zone", "string", "default")

# -- checkpoints and recovery ----------------------------------------------------------------------------
CHECKPOINT_INTERVAL = ConfigOption[int]("execution.checkpointing.interval", "duration")
CHECKPOINT_DIR = ConfigOption[str](
    "execution.checkpointing.dir", older_keys=("state.checkpoints.dir", "state.backend.fs.checkpointdir")
)
SAVEPOINT_DIR = ConfigOption[str](
    "execution.checkpointing.savepoint-dir",
    older_keys=("state.savepoints.dir", "savepoints.state.backend.fs.dir"),
)
CHECKPOINT_STORAGE = ConfigOption[str](
    "execution.checkpointing.storage", older_keys=("state.checkpoint-storage",)
)
CHECKPOINT_MODE = ConfigOption(
    "execution.checkpointing.mode", "enum", "EXACTLY_ONCE", choices=("EXACTLY_ONCE", "AT_LEAST_ONCE")
)
CHECKPOINT_TIMEOUT = ConfigOption("execution.checkpointing.timeout", "duration", 600_000)
CHECKPOINT_MIN_PAUSE = ConfigOption("execution.checkpointing.min-pause", "duration", 0)
CHECKPOINT_MAX_CONCURRENT = ConfigOption("execution.checkpointing.max-concurrent-checkpoints", "int", 1)
CHECKPOINT_TOLERABLE_FAILURES = ConfigOption("execution.checkpointing.tolerable-failed-checkpoints", "int", 0)
CHECKPOINT_NUM_RETAINED = ConfigOption(
    "execution.checkpointing.num-retained", "int", 1, older_keys=("state.checkpoints.num-retained",)
)
CHECKPOINT_RETENTION = ConfigOption(
    "execution.checkpointing.externalized-checkpoint-retention",
    "enum",
    "NO_EXTERNALIZED_CHECKPOINTS",
    choices=("DELETE_ON_CANCELLATION", "RETAIN_ON_CANCELLATION", "NO_EXTERNALIZED_CHECKPOINTS"),
)
CHECKPOINT_INCREMENTAL = ConfigOption(
    "execution.checkpointing.incremental", "boolean", False, older_keys=("state.backend.incremental",)
)
CHECKPOINT_UNALIGNED = ConfigOption(
    "execution.checkpointing.unaligned.enabled",
    "boolean",
    False,
    older_keys=("execution.checkpointing.unaligned",),
)
#: Kept, and without effect: checkpoints are aligned.
CHECKPOINT_UNALIGNED_FORCED = ConfigOption("execution.checkpointing.unaligned.forced", "boolean", False)
CHECKPOINT_ALIGNED_TIMEOUT = ConfigOption(
    "execution.checkpointing.aligned-checkpoint-timeout",
    "duration",
    0,
    older_keys=("execution.checkpointing.alignment-timeout",),
)
#: Flink waits for the last checkpoint before a bounded job ends, so that everything it wrote is committed.
CHECKPOINT_AFTER_TASKS_FINISH = ConfigOption(
    "execution.checkpointing.checkpoints-after-tasks-finish",
    "boolean",
    True,
    older_keys=("execution.checkpointing.checkpoints-after-tasks-finish.enabled",),
)
ALLOW_UNREPLAYABLE_SOURCES = ConfigOption(
    "flinkcore.checkpointing.allow-unreplayable-sources",
    "boolean",
    False,
    "Whether checkpoints go with a source that cannot be read again: after a failure its records may be lost.",
)
SNAPSHOT_COMPRESSION = ConfigOption("execution.checkpointing.snapshot-compression", "boolean", False)
SNAPSHOT_COMPRESSION_CODEC = ConfigOption(
    "flinkcore.checkpointing.compression-codec",
    "enum",
    "lz4",
    "What snapshot-compression compresses with; zstd is smaller and three times as slow.",
    choices=("lz4", "zstd"),
)
#: A snapshot of a subtask up to this size lies in the manifest itself.
DATA_INLINE_THRESHOLD = ConfigOption(
    "execution.checkpointing.data-inline-threshold",
    "memory",
    20 * 1024,
    older_keys=("state.storage.fs.memory-threshold", "state.backend.fs.memory-threshold"),
)
RECOVERY_PATH = ConfigOption[str]("execution.state-recovery.path", older_keys=("execution.savepoint.path",))
IGNORE_UNCLAIMED_STATE = ConfigOption(
    "execution.state-recovery.ignore-unclaimed-state",
    "boolean",
    False,
    older_keys=("execution.savepoint.ignore-unclaimed-state",),
)
CLAIM_MODE = ConfigOption(
    "execution.state-recovery.claim-mode",
    "enum",
    "NO_CLAIM",
    older_keys=("execution.savepoint-restore-mode",),
    choices=("CLAIM", "NO_CLAIM"),
)
#: None: state may take what memory there is.
MANAGED_MEMORY_SIZE = ConfigOption[int]("taskmanager.memory.managed.size", "memory")
#: Folders for state beyond that size, between commas; None: the system's folder for temporary files.
TMP_DIRS = ConfigOption[str]("io.tmp.dirs", "string")
STATE_BACKEND = ConfigOption("state.backend.type", "string", "hashmap", older_keys=("state.backend",))
#: Kept, and without effect: what a checkpoint writes is the pages that changed in any case.
CHANGELOG_STATE_BACKEND = ConfigOption[bool]("state.changelog.enabled", "boolean")
RESTART_STRATEGY = ConfigOption[str]("restart-strategy.type", older_keys=("restart-strategy",))
RESTART_ATTEMPTS = ConfigOption("restart-strategy.fixed-delay.attempts", "int", 1)
RESTART_DELAY = ConfigOption("restart-strategy.fixed-delay.delay", "duration", 1_000)
RESTART_FAILURES_PER_INTERVAL = ConfigOption(
    "restart-strategy.failure-rate.max-failures-per-interval", "int", 1
)
RESTART_FAILURE_INTERVAL = ConfigOption(
    "restart-strategy.failure-rate.failure-rate-interval", "duration", 60_000
)
RESTART_FAILURE_DELAY = ConfigOption("restart-strategy.failure-rate.delay", "duration", 1_000)
RESTART_BACKOFF_INITIAL = ConfigOption(
    "restart-strategy.exponential-delay.initial-backoff", "duration", 1_000
)
RESTART_BACKOFF_MAX = ConfigOption("restart-strategy.exponential-delay.max-backoff", "duration", 60_000)
RESTART_BACKOFF_MULTIPLIER = ConfigOption(
    "restart-strategy.exponential-delay.backoff-multiplier", "double", 1.5
)
RESTART_BACKOFF_RESET = ConfigOption(
    "restart-strategy.exponential-delay.reset-backoff-threshold", "duration", 3_600_000
)
RESTART_BACKOFF_JITTER = ConfigOption("restart-strategy.exponential-delay.jitter-factor", "double", 0.1)
RESTART_BACKOFF_ATTEMPTS = ConfigOption(
    "restart-strategy.exponential-delay.attempts-before-reset-backoff", "int", 2**31 - 1
)
