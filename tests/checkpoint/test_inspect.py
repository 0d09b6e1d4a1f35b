# SPDX-License-Identifier: Apache-2.0
"""What a checkpoint directory holds is shown, and every fault in it is reported, not only the first."""

from __future__ import annotations

from pathlib import Path

import pytest

from flinkcore.checkpoint.inspect import StateSize, faults_of, find, find_one, sizes_of
from flinkcore.checkpoint.location import open_store
from flinkcore.cli import main
from flinkcore.errors import CheckpointStorageError, StateFormatError
from tests.checkpoint.manifests import (
    JOB_ID,
    blocks_of,
    chain_of,
    manifest_of,
    write_checkpoint,
    write_segment,
)


@pytest.fixture
def job_folder(folder: Path) -> Path:
    """Three checkpoints, the third of which is not complete, and a savepoint."""
    from flinkcore.checkpoint.manifest import write_manifest

    job = open_store(folder / JOB_ID)
    one = write_checkpoint(job, 1)
    write_checkpoint(job, 2, chain_of(one))
    job.create_if_absent("chk-3/_metadata.0123.tmp", [b"half"])
    savepoint = open_store(folder / "savepoint-0123456789ab")
    ref = write_segment(savepoint, "x.seg", blocks_of(4), epoch=4)
    write_manifest(savepoint, "_metadata", manifest_of([ref], checkpoint_id=4, kind="savepoint"))
    return folder / JOB_ID


def test_all_kinds_of_folders_are_found(job_folder: Path) -> None:
    directory = job_folder.parent
    assert [found.checkpoint_id for found in find(directory)] == [3, 2, 1, 4]
    assert [found.checkpoint_id for found in find(job_folder)] == [3, 2, 1]
    assert [found.checkpoint_id for found in find(job_folder / "chk-2")] == [2]
    assert [found.checkpoint_id for found in find(f"file://{directory}/savepoint-0123456789ab")] == [4]
    for nothing, text in ((directory / "none", "is empty, or there is no such folder"),
                          (job_folder / "shared", "has neither in it")):
        with pytest.raises(CheckpointStorageError, match=text):
            find(nothing)


def test_sizes_are_those_of_all_subtasks(job_folder: Path) -> None:
    found = find(job_folder / "chk-2")[0]
    source, counter = sizes_of(found)
    assert source.states == (StateSize("splits", "split list", 3, 0), StateSize("rules", "broadcast list", 0, 0))
    assert counter.states == (StateSize("keys", "keys", 3, 120), StateSize("total", "accumulators", 3, 96),
                              StateSize("panes", "accumulators", 0, 0))
    assert (counter.rows, counter.segments_max, counter.bytes) == (3, 2, found.complete().bytes)
    with pytest.raises(StateFormatError, match="is missing"):
        sizes_of(find(job_folder / "chk-3")[0])


def test_every_fault_is_found(job_folder: Path) -> None:
    assert list(faults_of(find(job_folder / "chk-2")[0])) == []
    for name in ("op-0-1.seg", "op-0-2.seg"):
        path = job_folder / "shared" / name
        data = bytearray(path.read_bytes())
        data[40] ^= 1
        path.write_bytes(data)
    faults = list(faults_of(find(job_folder / "chk-2")[0]))
    assert len(faults) == 2 and "op-0-1.seg" in faults[0] and "op-0-2.seg" in faults[1]
    (job_folder / "shared" / "op-0-2.seg").unlink()
    assert "op-0-2.seg' is missing" in list(faults_of(find(job_folder / "chk-2")[0]))[1]


# -- the command line ------------------------------------------------------------------------------------------------


def output_of(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    code = main(["checkpoint", *map(str, arguments)])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_list_shows_what_there_is(job_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = output_of(capsys, "list", job_folder.parent)
    assert code == 0
    states = [line.split()[-1] for line in out.splitlines()[1:]]
    assert states == ["incomplete", "complete", "complete", "complete"]
    (job_folder / "shared" / "op-0-2.seg").unlink()
    code, out, _ = output_of(capsys, "list", job_folder.parent)
    assert code == 1
    assert "damaged" in out and "op-0-2.seg' is missing; put the original file back" in out


def test_show_names_operators_and_states(job_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = output_of(capsys, "show", job_folder / "chk-2")
    assert code == 0
    assert "checkpoint 2 of job 'bids per minute'" in out
    assert "Count: uid 'counter'; 2 subtasks of at most 128; 3 rows" in out
    assert "in chains of up to 2 segments" in out
    assert "keys   keys          3     120" in out


def test_verify_reads_everything(job_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = output_of(capsys, "verify", job_folder.parent)
    assert code == 0
    assert out.count(": whole, ") == 3 and out.count(": incomplete: ") == 1
    code, out, _ = output_of(capsys, "verify", job_folder / "chk-3")
    assert code == 1 and "the checkpoint was not completed" in out
    path = job_folder / "shared" / "op-0-1.seg"
    data = bytearray(path.read_bytes())
    data[40] ^= 1
    path.write_bytes(data)
    code, out, _ = output_of(capsys, "verify", job_folder.parent)
    assert code == 1 and out.count("1 fault\n") == 2 and out.count("does not have its checksum") == 2


def test_what_cannot_be_read_is_an_error(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = output_of(capsys, "show", folder / "none")
    assert (code, out) == (1, "")
    assert err.startswith("CheckpointStorageError: no checkpoint or savepoint in")


def test_the_metadata_file_stands_for_its_folder(job_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for folder in (job_folder / "chk-2", job_folder.parent / "savepoint-0123456789ab"):
        assert find(folder / "_metadata")[0].location == find_one(folder / "_metadata").location == str(folder)
    for file in (job_folder / "shared" / "op-0-1.seg", job_folder / "shared" / "op-0-1.seg" / "_metadata"):
        code, _, err = output_of(capsys, "show", file)
        assert code == 1 and "is a file, or lies in one; expected the folder of a checkpoint" in err


def test_a_folder_of_checkpoints_is_not_one(job_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(CheckpointStorageError, match="not a checkpoint or savepoint; it holds chk-2, chk-1; name one"):
        find_one(job_folder)
    with pytest.raises(CheckpointStorageError, match=f"holds {JOB_ID}/chk-2, {JOB_ID}/chk-1, savepoint-0123456789ab;"):
        find_one(job_folder.parent)
    with pytest.raises(CheckpointStorageError, match="has no _metadata file, and holds neither"):
        find_one(job_folder.parent.parent.parent)
    assert output_of(capsys, "diff", job_folder, job_folder)[0] == 2
    job_folder.parent.joinpath("savepoint-0123456789ab").rename(job_folder / "mine")
    with pytest.raises(CheckpointStorageError, match="it holds mine; give that path"):
        for chk in (1, 2, 3):
            (job_folder / f"chk-{chk}").rename(job_folder.parent / f"c{chk}")
        find(job_folder)
    assert find_one(job_folder.parent / "c3").begun
