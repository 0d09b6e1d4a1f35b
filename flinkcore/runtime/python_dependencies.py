# SPDX-License-Identifier: Apache-2.0
"""What the Python functions of a job need beside the program: modules, packages, archives (Flink: python.files,
python.requirements, python.archives, python.executable).

Flink gives them to its Python workers. Functions here run in the process of the program, so modules and packages
are importable in this process, and archives lie in its working directory, from the start of the job to its end.
"""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import threading
import zipfile
from collections.abc import Callable
from dataclasses import dataclass

from flinkcore import options
from flinkcore.config import Configuration
from flinkcore.errors import ConfigurationError

# The end of pip's output that an error shows, in lines.
PIP_LINES = 15


@dataclass(frozen=True)
class PythonDependencies:
    """What a job asks for.

    files : paths of modules (.py), packages (.zip, .whl, .egg, .tar.gz) and folders
    requirements : (text of the requirements file, folder with packages or None)
    archives : (path of a .zip or .tar file, folder that its contents come in)
    executable : the interpreter that functions are meant for
    """

    files: tuple[str, ...] = ()
    requirements: tuple[str, str | None] | None = None
    archives: tuple[tuple[str, str], ...] = ()
    executable: str | None = None

    @staticmethod
    def of(config: Configuration) -> PythonDependencies:
        """ConfigurationError: a file that is named does not exist."""
        requirements = None
        if text := config.get(options.PYTHON_REQUIREMENTS):
            path, _, folder = text.partition("#")
            with open(_existing(options.PYTHON_REQUIREMENTS.key, path), encoding="utf-8") as file:
                requirements = file.read(), _existing(options.PYTHON_REQUIREMENTS.key, folder) if folder else None
        archives = []
        for item in _items(config.get(options.PYTHON_ARCHIVES)):
            path, _, folder = item.partition("#")
            archives.append((_existing(options.PYTHON_ARCHIVES.key, path), folder or os.path.basename(path)))
        files = tuple(_existing(options.PYTHON_FILES.key, path) for path in _items(config.get(options.PYTHON_FILES)))
        return PythonDependencies(files, requirements, tuple(archives), config.get(options.PYTHON_EXECUTABLE))

    def provide(self) -> Callable[[], None]:
        """Makes everything available in this process. -> what takes it away again, to be called once.

        ConfigurationError : another interpreter is asked for; a package cannot be installed; an archive cannot be
            read; another job with archives runs
        """
        if self == PythonDependencies():
            return lambda: None
        self._check_interpreter()
        folders = [installed(*self.requirements)] if self.requirements is not None else []
        job = tempfile.TemporaryDirectory(prefix="flinkcore-python-")
        try:
            folders += [_importable(path, os.path.join(job.name, str(i))) for i, path in enumerate(self.files)]
            work = os.path.join(job.name, "archives")
            for path, folder in self.archives:
                _extract(path, os.path.join(work, folder))
            leave = _enter(work) if self.archives else None
        except BaseException:
            job.cleanup()
            raise
        modules_before = set(sys.modules)
        sys.path[:0] = folders
        python_before = os.environ.get("python")  # noqa: SIM112  Flink's workers have it in small letters
        if self.executable is not None:
            os.environ["python"] = self.executable  # noqa: SIM112

        def release() -> None:
            for folder in folders:
                if folder in sys.path:  # the program may have taken it away
                    sys.path.remove(folder)
            gone = [folder for folder in folders if folder not in sys.path]
            _forget(gone, [name for name in sys.modules if name not in modules_before])
            if self.executable is not None:
                os.environ.pop("python", None)
                if python_before is not None:
                    os.environ["python"] = python_before  # noqa: SIM112
            if leave is not None:
                leave()
            job.cleanup()

        return release

    def _check_interpreter(self) -> None:
        if self.executable is None:
            return
        found = shutil.which(self.executable)
        if found is None or not _same_interpreter(found):
            raise ConfigurationError(
                f"{options.PYTHON_EXECUTABLE.key} is '{self.executable}', and this job runs in '{sys.executable}': "
                "functions run in the process of the program; start the program with that interpreter"
            )


def _same_interpreter(path: str) -> bool:
    """Whether a path starts this interpreter with its packages: the same file in the same folder; a link from
    elsewhere may be another virtual environment."""
    path, own = os.path.abspath(path), os.path.abspath(sys.executable)
    same_folder = os.path.realpath(os.path.dirname(path)) == os.path.realpath(os.path.dirname(own))
    return path == own or (same_folder and os.path.realpath(path) == os.path.realpath(own))


def _items(text: str | None) -> list[str]:
    return [item for item in (text or "").split(",") if item]


def _existing(key: str, path: str) -> str:
    path = os.path.abspath(os.path.expanduser(path.removeprefix("file://")))
    if not os.path.exists(path):
        raise ConfigurationError(f"{key} names '{path}', which does not exist")
    return path


def _importable(path: str, folder: str) -> str:
    """What to put on sys.path so that a file's contents can be imported. folder : room for a copy, if need be"""
    if path.endswith(".py"):  # its neighbours are not meant
        os.makedirs(folder)
        shutil.copy(path, folder)
        return folder
    if path.endswith((".tar.gz", ".tgz")):
        _extract(path, folder)
        return folder
    return path


@functools.lru_cache(maxsize=8)
def installed(requirements: str, packages: str | None) -> str:
    """A folder with the packages that a requirements file asks for; once per process and text.

    packages : a folder to take them from instead of the package index
    ConfigurationError : pip cannot install them
    """
    folder = _kept_folder()
    listed = os.path.join(folder, "requirements.txt")
    with open(listed, "w", encoding="utf-8") as file:
        file.write(requirements)
    target = os.path.join(folder, "packages")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--target", target]
    if packages is not None:
        command += ["--no-index", "--find-links", packages]
    done = subprocess.run([*command, "--requirement", listed], capture_output=True, text=True)
    if done.returncode != 0:
        told = "\n".join((done.stdout + done.stderr).strip().splitlines()[-PIP_LINES:])
        where = f"the folder '{packages}'" if packages is not None else "the package index"
        raise ConfigurationError(
            f"{options.PYTHON_REQUIREMENTS.key}: pip could not install the requirements from {where}:\n{told}"
        )
    os.makedirs(target, exist_ok=True)  # an empty list of requirements
    return target


def _kept_folder() -> str:
    """A folder that is removed when Python ends."""
    folder = tempfile.TemporaryDirectory(prefix="flinkcore-requirements-")
    _kept.append(folder)
    return folder.name


_kept: list[tempfile.TemporaryDirectory[str]] = []


def _extract(path: str, folder: str) -> None:
    """Unpacks an archive; what would lie outside of the folder is refused."""
    os.makedirs(folder, exist_ok=True)
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                for member in archive.infolist():
                    extracted = archive.extract(member, folder)
                    if mode := member.external_attr >> 16 & 0o777:  # e.g. programs of a virtual environment
                        os.chmod(extracted, mode)
        else:
            with tarfile.open(path) as tar:
                tar.extractall(folder, filter="data")
    except (tarfile.TarError, zipfile.BadZipFile) as error:
        raise ConfigurationError(
            f"'{path}' cannot be unpacked ({error}); expected a .zip, .tar, .tar.gz or .tgz file"
        ) from error


_working_directory = threading.Lock()


def _enter(folder: str) -> Callable[[], None]:
    """Makes a folder the working directory. -> the way back"""
    if not _working_directory.acquire(blocking=False):
        raise ConfigurationError(
            f"another job with {options.PYTHON_ARCHIVES.key} runs in this process, and a process has one working "
            "directory; wait for its end first"
        )
    before = os.getcwd()
    os.chdir(folder)

    def leave() -> None:
        try:
            os.chdir(before)
        finally:
            _working_directory.release()

    return leave


def _forget(folders: list[str], modules: list[str]) -> None:
    """Those of the modules that came from these folders are no longer imported: another job may bring others of
    their name."""
    for name in modules:
        file = getattr(sys.modules[name], "__file__", None)
        if file is not None and any(file.startswith(folder + os.sep) for folder in folders):
            del sys.modules[name]
