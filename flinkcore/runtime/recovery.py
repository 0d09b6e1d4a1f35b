# SPDX-License-Identifier: Apache-2.0
"""Recovery: what a job starts from, and goes back to when it starts again."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from flinkcore import options
from flinkcore.checkpoint.assignment import Restoration, Wanted, assign
from flinkcore.checkpoint.home import CheckpointHome, Writing
from flinkcore.checkpoint.layout import (
    Checkpoint,
    find_begun,
    find_checkpoints,
    find_newest,
    open_checkpoint,
    stopped_with,
)
from flinkcore.checkpoint.location import open_store
from flinkcore.checkpoint.manifest import Manifest
from flinkcore.checkpoint.schedule import Settings
from flinkcore.checkpoint.segment import SegmentRef
from flinkcore.checkpoint.store import Store
from flinkcore.checkpoint.stored import StoredSubtask
from flinkcore.errors import (
    CheckpointError,
    CheckpointStorageError,
    ConfigurationError,
    NewerFormatError,
    StateFormatError,
    UnsupportedOperationError,
)
from flinkcore.graph.job_graph import JobGraph
from flinkcore.runtime.coordinator import CheckpointHistory, Coordinator, Job
from flinkcore.runtime.deploy import RunFacts
from flinkcore.runtime.task import Task
from flinkcore.time.clock import Clock

log = logging.getLogger(__name__)

_AGAIN = "Results that were committed with it are committed once more"

#: The value of execution.state-recovery.path that means: the newest complete checkpoint of the job of this name.
NEWEST = "newest"


class Recovery:
    """The checkpoints of one job, through all starts of its tasks in this process.

    root : the checkpoint directory; by default that of the configuration, else one in memory
    ConfigurationError, CheckpointStorageError, StateFormatError, StateMigrationError : checkpoints cannot be written
        where they should be, or what is to be restored is not there, cannot be read, or does not fit the program
    """

    def __init__(self, graph: JobGraph, job_id: str, root: Store | None = None) -> None:
        config = graph.config
        self.graph = graph
        self.settings = Settings.of(config)
        self._allow_unclaimed = config.get(options.IGNORE_UNCLAIMED_STATE)
        self._refuse_unreplayable()
        directory = config.get(options.CHECKPOINT_DIR)
        lasts = root is not None or directory is not None
        root = root or open_store(directory or "memory:")
        found = self._find(root if lasts else None)
        own = found is not None and found.manifest is not None and self._is_own(found, root)
        self.job_id = job_id
        if own and found is not None and found.manifest is not None:
            self.job_id = found.manifest.job_id
        elif found is None and config.get(options.RECOVERY_PATH) == NEWEST:
            self.job_id = find_begun(root, graph.name) or job_id
        self._start: tuple[Manifest, Store] | None = None
        if found is not None:
            self._start = (found.complete(), found.home)
        self._restore_from(self._start)
        self.home = CheckpointHome(
            Writing.of(config, graph.name, self.job_id),
            root.below(self.job_id),
            self.settings.retained,
            self._newest_ms(root) if lasts and self.settings.interval_ms is not None else 0,
        )
        self._builds_on_own = own
        self._next_id = self.home.last_id + 1
        self._history = CheckpointHistory()
        if self._start is not None:
            self._history.origin = f"went on from {_source(*self._start)}"
        elif config.get(options.RECOVERY_PATH) == NEWEST:
            self._history.origin = f"found no checkpoint in '{root.location}' yet, and started afresh"

    # -- for the executor ---------------------------------------------------------------------------------

    def facts(self, attempt: int) -> RunFacts:
        """What the next start of the tasks goes on from."""
        return RunFacts(self.restoration, self.job_id, self.settings.interval_ms is not None, attempt)

    def to_latest(self, coordinator: Coordinator) -> None:
        """The tasks start again: from the newest complete checkpoint, else from where the job began."""
        self._next_id = coordinator.next_id
        if coordinator.latest is not None:
            self._start = (coordinator.latest, self.home.job)
            self._builds_on_own = True
        self._restore_from(self._start)

    def delay_ms(self, failure: BaseException, usual_ms: int | None) -> int | None:
        """When the tasks start again after a failure, None for not at all. What the job started from may be damaged:
        then it goes back to an earlier checkpoint at once, and without one there is no use in trying again.

        usual_ms : what the restart strategy says
        """
        cause = failure.__cause__
        if not isinstance(cause, StateFormatError) or isinstance(cause, NewerFormatError):
            return usual_ms
        return 0 if self._goes_back(cause) else None

    def _goes_back(self, cause: StateFormatError) -> bool:
        """Whether there is a checkpoint before the one that is damaged; then that one is next."""
        if self._start is None or not self._builds_on_own:
            return False
        damaged = self._start[0].checkpoint_id
        try:
            checkpoints = find_checkpoints(self.home.job, self.job_id)
        except CheckpointStorageError as error:
            log.error("whether there is a checkpoint before %d, which is damaged, cannot be seen: %s", damaged, error)
            return False
        for found in checkpoints:
            if found.fault is None and found.manifest is not None and found.checkpoint_id < damaged:
                log.error("checkpoint %d is damaged and passed over: %s. %s", damaged, cause, _AGAIN)
                self._start = (found.manifest, found.home)
                return True
        return False

    def coordinator(
        self,
        tasks: Sequence[Task],
        clock: Clock,
        submit: Callable[[Job], None],
        wake: Callable[[Task], None],
        fail: Callable[[Exception], None],
        stopped: Callable[[], None],
    ) -> Coordinator:
        """The coordinator of one start of the tasks."""
        chains: dict[tuple[str, int], list[SegmentRef]] = {}
        if self._start is not None and self._builds_on_own:
            for operator in self._start[0].operators:
                for subtask in operator.subtasks:
                    key = (operator.operator_id, subtask.index)
                    restored = self.restoration.states.get(key)
                    if restored is not None and not restored.rescaled:
                        chains[key] = list(subtask.segments)
        return Coordinator(
            self.graph,
            tasks,
            self.home,
            self.settings,
            clock,
            submit,
            wake,
            fail,
            stopped,
            chains,
            self._next_id,
            self._history,
        )

    def close(self, cancelled: bool, failed: bool) -> None:
        """The job has ended. A cancelled one leaves checkpoints only when they are to be retained; one that failed
        leaves them to be resumed from, and one that finished leaves its last, so that a resume finds it finished."""
        if cancelled and not failed and self.settings.retention != "RETAIN_ON_CANCELLATION":
            self.home.remove_all()
        self.home.close()

    # ----------------------------------------------------------------------------------------------------

    def _find(self, root: Store | None) -> Checkpoint | None:
        """The checkpoint that the job is to start from."""
        path = self.graph.config.get(options.RECOVERY_PATH)
        if not path:
            return None
        if path != NEWEST:
            return open_checkpoint(path)
        if root is None:
            raise ConfigurationError(
                f"job '{self.graph.name}' cannot resume: it has no checkpoint directory; set "
                f"{options.CHECKPOINT_DIR.key}"
            )
        newest, skipped = find_newest(root, self.graph.name)
        for broken in skipped:
            if broken.newer:
                raise CheckpointError(
                    f"job '{self.graph.name}' does not resume, as an older checkpoint would repeat what was committed "
                    f"since: {broken.fault}; or name the one to go back to with -s PATH"
                )
            log.warning("%s is passed over: %s. %s", broken.location, broken.fault, _AGAIN)
        if newest is not None and (savepoint := stopped_with(newest.home)) is not None:
            raise CheckpointError(
                f"job '{self.graph.name}' was stopped with savepoint '{savepoint}', which is newer than its "
                f"checkpoints: go on with -s {savepoint}, or name the checkpoint to go back to with -s PATH"
            )
        if newest is None and skipped:
            raise CheckpointError(
                f"job '{self.graph.name}' has no checkpoint in '{root.location}' that is whole: {skipped[0].fault}"
            )
        return newest

    def _newest_ms(self, root: Store) -> int:
        """When the newest checkpoint of this job was made, by the clock of whoever made it."""
        manifests = [] if self._start is None else [self._start[0]]
        if manifests and self.graph.config.get(options.RECOVERY_PATH) == NEWEST:
            return manifests[0].created_ms
        newest, _ = find_newest(root, self.graph.name)
        if newest is not None and newest.manifest is not None:
            manifests.append(newest.manifest)
        return max((manifest.created_ms for manifest in manifests), default=0)

    def _is_own(self, found: Checkpoint, root: Store) -> bool:
        """Whether a checkpoint lies where this job writes its own, which may then build on it."""
        assert found.manifest is not None
        return (
            found.manifest.kind == "checkpoint"
            and found.manifest.job_name == self.graph.name
            and found.home.location == root.below(found.manifest.job_id).location
        )

    def _restore_from(self, start: tuple[Manifest, Store] | None) -> None:
        self.restoration = Restoration()
        if start is None:
            return
        manifest, store = start
        wanted = [
            Wanted(node.operator_id, node.name, node.parallelism, node.max_parallelism, node.max_parallelism_set)
            for node in self.graph.nodes
        ]
        self.restoration = assign(
            manifest,
            wanted,
            _source(manifest, store),
            lambda subtask: StoredSubtask(store, subtask),
            self._allow_unclaimed,
        )
        for node in self.graph.nodes:
            taken = self.restoration.max_parallelism.get(node.operator_id)
            if taken is not None:
                node.max_parallelism = taken

    def _refuse_unreplayable(self) -> None:
        """A source that cannot go back makes no job exactly once."""
        if self.settings.interval_ms is None or self.graph.config.get(options.ALLOW_UNREPLAYABLE_SOURCES):
            return
        for node in self.graph.nodes:
            source = node.transformation.source
            if source is not None and source.not_replayable:
                raise UnsupportedOperationError(
                    f"source '{node.name}' cannot go back to a checkpoint: {source.not_replayable}. Without "
                    f"checkpoints, or with {options.ALLOW_UNREPLAYABLE_SOURCES.key} set to true, which loses records "
                    f"at a restart, the job runs"
                )


def _source(manifest: Manifest, store: Store) -> str:
    return f"{manifest.kind} {manifest.checkpoint_id} of '{store.location}'"
