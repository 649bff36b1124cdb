"""Fetching: archives are opened safely and in memory, prepared files are pinned, and nothing is downloaded twice."""

from __future__ import annotations

import gzip
import io
import random
import shutil
import stat
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from zoo_core.data import archives, fetch
from zoo_core.data.fetch import Fetcher, PackageClients, data_root, read_archive
from zoo_core.errors import DataError, DigestMismatch, UsageError
from zoo_core.storage import fs

HELLO = b"hello"
DIGEST = fs.digest_of(HELLO)
NO_SHA = "0" * 64


def zip_of(path: Path, members: Mapping[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def tar_of(path: Path, members: Mapping[str, bytes], *special: tarfile.TarInfo) -> Path:
    with tarfile.open(path, "w:gz" if path.suffix != ".tar" else "w") as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
        for info in special:
            archive.addfile(info)
    return path


def special(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


class Shelf:
    """A client whose packages are at hand, and which notes what it was asked for."""

    def __init__(self, members: Mapping[str, bytes]) -> None:
        self.members = members
        self.asked: list[str] = []

    def pypi(self, requirement: str, sha256: str, folder: Path) -> None:
        self.asked.append(requirement)
        zip_of(folder / "package-1.0-py3-none-any.whl", self.members)

    def debian(self, package: str, folder: Path) -> None:
        self.asked.append(package)
        (folder / "package.deb").write_bytes(b"!<arch>")
        tar_of(folder / "files.tar", {f"./{name}": data for name, data in self.members.items()})

    def npm(self, package: str, folder: Path) -> None:
        self.asked.append(package)
        tar_of(folder / "package.tgz", self.members)


class Empty(Shelf):
    """A client that brings nothing."""

    def npm(self, package: str, folder: Path) -> None:
        self.asked.append(package)


def fetcher_of(root: Path, client: Shelf) -> tuple[Fetcher, list[str]]:
    said: list[str] = []
    return Fetcher(root, said.append, client=client), said


def test_all_clients_give_members_by_path(tmp_path: Path) -> None:
    shelf = Shelf({"data/a.txt": HELLO, "code/b.py": b"pass"})
    fetcher, said = fetcher_of(tmp_path, shelf)
    everything = {"data/a.txt": HELLO, "code/b.py": b"pass"}
    assert fetcher.pypi("package==1.0", sha256=NO_SHA) == everything
    assert fetcher.debian("package") == everything
    assert fetcher.npm("@scope/package@1.0", select=["data/*"]) == {"data/a.txt": HELLO}
    assert said == ["downloading package==1.0", "downloading package", "downloading @scope/package@1.0"]
    assert list(tmp_path.iterdir()) == []


def test_a_package_without_what_is_wanted_is_refused(tmp_path: Path) -> None:
    fetcher, _ = fetcher_of(tmp_path, Shelf({"a.txt": HELLO}))
    with pytest.raises(DataError, match=r"package: contains nothing like \*\.csv"):
        fetcher.npm("package", select=["*.csv"])
    fetcher, _ = fetcher_of(tmp_path, Empty({}))
    with pytest.raises(DataError, match="one archive expected, 0 downloaded"):
        fetcher.npm("package")


@pytest.mark.parametrize("name", ["-o", "--install", "a b", "", "a;b", "a\nb", "/etc/x", "../x.whl"])
def test_names_that_a_client_could_take_for_options_are_refused(name: str, tmp_path: Path) -> None:
    shelf = Shelf({"a": HELLO})
    with pytest.raises(UsageError, match="not a package name"):
        fetcher_of(tmp_path, shelf)[0].debian(name)
    assert shelf.asked == []


def test_kept_files_are_pinned_and_not_prepared_twice(tmp_path: Path) -> None:
    fetcher, said = fetcher_of(tmp_path, Shelf({}))
    pinned = {"greeting/train.txt": DIGEST}
    assert not fetcher.has(pinned)
    path = fetcher.keep("greeting/train.txt", HELLO, sha256=DIGEST)
    assert path == tmp_path / "greeting" / "train.txt" and path.read_bytes() == HELLO
    assert fetcher.has(pinned)
    path.write_bytes(b"hullo")
    assert not fetcher.has(pinned) and "damaged" in said[-1]


@pytest.mark.parametrize("sha256", ["", "f" * 64])
def test_a_changed_source_is_noticed_and_nothing_is_written(sha256: str, tmp_path: Path) -> None:
    fetcher, _ = fetcher_of(tmp_path, Shelf({}))
    with pytest.raises(DigestMismatch, match=f"greeting/a.txt: what was prepared has sha256 {DIGEST}"):
        fetcher.keep("greeting/a.txt", HELLO, sha256=sha256)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["a.txt", "../a.txt", "/a/b", "a/../b", "a/.b", "a/b/c", "A/b", ".a/b"])
def test_prepared_files_stay_in_the_folder_of_their_data_set(name: str, tmp_path: Path) -> None:
    fetcher, _ = fetcher_of(tmp_path, Shelf({}))
    with pytest.raises(UsageError, match="must be '<data set>/<file>'"):
        fetcher.keep(name, HELLO, sha256=DIGEST)


@pytest.mark.parametrize("name", ["../evil", "a/../../evil", "/etc/evil", "..\\evil", "C:/evil"])
def test_members_that_leave_the_archive_are_refused(name: str, tmp_path: Path) -> None:
    for archive in (zip_of(tmp_path / "a.zip", {name: HELLO}), tar_of(tmp_path / "a.tar", {name: HELLO})):
        with pytest.raises(DataError, match="points outside the archive"):
            read_archive(archive)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.tar", "a.zip"]


def test_links_are_not_followed_out_of_the_archive(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"secret")
    inside = {"a": HELLO}
    linked = tar_of(
        tmp_path / "a.tgz", inside, special("b", tarfile.SYMTYPE, str(secret)), special("c", tarfile.LNKTYPE, "a")
    )
    assert read_archive(linked) == {"a": HELLO, "c": HELLO}
    with pytest.raises(DataError, match="damaged archive"):
        read_archive(tar_of(tmp_path / "b.tgz", inside, special("c", tarfile.LNKTYPE, str(secret))))
    info = zipfile.ZipInfo("b")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a", HELLO)
        archive.writestr(info, str(secret))
    assert read_archive(tmp_path / "a.zip") == inside


@pytest.mark.parametrize("kind", [tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE])
def test_devices_are_refused(kind: bytes, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="member 'x' is not an ordinary file"):
        read_archive(tar_of(tmp_path / "a.tar", {}, special("x", kind)))


def test_zipped_devices_are_refused(tmp_path: Path) -> None:
    info = zipfile.ZipInfo("x")
    info.external_attr = (stat.S_IFIFO | 0o644) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(info, b"")
    with pytest.raises(DataError, match="member 'x' is not an ordinary file"):
        read_archive(tmp_path / "a.zip")


def test_bombs_are_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    zeros = bytes(2 << 20)
    for archive in (zip_of(tmp_path / "a.zip", {"x": zeros}), tar_of(tmp_path / "a.tgz", {"x": zeros})):
        with pytest.raises(DataError, match="unfolds to more than 1,048,576 bytes"):
            read_archive(archive)
    monkeypatch.setenv("ZOO_MAX_ARCHIVE", "8")
    with pytest.raises(DataError, match="member 'b' unfolds to more than 3 bytes"):
        read_archive(zip_of(tmp_path / "b.zip", {"a": HELLO, "b": HELLO}))
    monkeypatch.setattr(archives, "MAX_MEMBERS", 3)
    with pytest.raises(DataError, match="more than 3 members"):
        read_archive(tar_of(tmp_path / "b.tar", {str(number): b"" for number in range(4)}))
    monkeypatch.setattr(archives, "MAX_ARCHIVE", 10)
    with pytest.raises(DataError, match="larger than 10 bytes"):
        read_archive(tmp_path / "b.tar")


def test_a_record_longer_than_any_number_of_bytes_is_one_error(tmp_path: Path) -> None:
    info = tarfile.TarInfo("x")
    info.pax_headers = {"comment": "y" * 60}
    whole, record = info.tobuf(tarfile.PAX_FORMAT) + bytes(1024), b"72 comment=" + b"y" * 60
    assert record in whole
    (tmp_path / "a.tar").write_bytes(whole.replace(record, b"9" * 20 + b" comment=" + b"y" * 42))
    with pytest.raises(DataError, match="too large to convert"):
        read_archive(tmp_path / "a.tar")


def test_damaged_and_foreign_archives_are_refused(tmp_path: Path) -> None:
    whole = zip_of(tmp_path / "a.whl", {"a": b"random" * 50}).read_bytes()
    for name, data in {"b.whl": whole[:-30], "c.whl": b"<html>", "d.tgz": b"<html>", "e.tar": b""}.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(DataError, match=f"{name}: damaged archive"):
            read_archive(tmp_path / name)
    locked = bytearray(whole)
    locked[6] = locked[whole.index(b"PK\x01\x02") + 8] = 1
    (tmp_path / "locked.zip").write_bytes(locked)
    with pytest.raises(DataError, match="is encrypted"):
        read_archive(tmp_path / "locked.zip")
    (tmp_path / "f.rar").write_bytes(b"Rar!")
    with pytest.raises(DataError, match="not an archive that can be read"):
        read_archive(tmp_path / "f.rar")


def test_a_missing_client_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    for ask, program in ((PackageClients().debian, "apt-get"), (PackageClients().npm, "npm")):
        with pytest.raises(DataError, match=f"words: downloading it needs the program {program}"):
            ask("words", tmp_path)


def test_what_a_client_says_when_it_fails_is_told(tmp_path: Path) -> None:
    script = "import sys; sys.exit('no such package')"
    with pytest.raises(DataError, match=r"words: .* failed \(1\): no such package") as caught:
        fetch.run([sys.executable, "-c", script], tmp_path, what="words", hint="update")
    assert caught.value.hint == "update"


def test_a_client_that_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "SECONDS", 0.05)
    with pytest.raises(DataError, match="had not finished after"):
        fetch.run([sys.executable, "-c", "import signal; signal.pause()"], tmp_path, what="words")


def test_a_python_package_must_be_pinned_by_digest(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="64 lower-case hex digits"):
        PackageClients().pypi("words==1.0", "", tmp_path)


def test_the_data_folder_can_be_chosen(tmp_path: Path) -> None:
    assert data_root({"ZOO_DATA": str(tmp_path)}) == tmp_path
    assert data_root({"ZOO_DATA": "~/sets"}) == Path.home() / "sets"
    assert data_root({"ZOO_HOME": str(tmp_path)}) == tmp_path / "data"


def header_of(kind: bytes, size: int, name: str = "x") -> bytes:
    info = tarfile.TarInfo(name)
    info.type, info.size = kind, size
    return info.tobuf(tarfile.GNU_FORMAT)


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.XGLTYPE])
def test_headers_of_gigabytes_are_refused_unread(kind: bytes, tmp_path: Path) -> None:
    for suffix, write in ((".tgz", gzip.open), (".tar", open)):
        path = tmp_path / f"a{suffix}"
        with write(path, "wb") as file:  # type: ignore[operator]
            file.write(header_of(kind, 2 << 30))
        with pytest.raises(DataError, match=r"a header of 2,147,48.* bytes, more than 1,048,576"):
            read_archive(path)


def test_members_that_nobody_asks_for_are_bounded_too(tmp_path: Path) -> None:
    """A member of zeros in front of the one that is wanted unfolds on the way to it."""
    path = tmp_path / "a.tgz"
    size = 300 << 20
    with gzip.open(path, "wb", compresslevel=9) as file:
        file.write(header_of(tarfile.REGTYPE, size, "zeros"))
        for _ in range(size >> 20):
            file.write(bytes(1 << 20))
        file.write(header_of(tarfile.REGTYPE, 0, "wanted") + bytes(1024))
    packed = path.stat().st_size
    assert size > 4 * 200 * packed
    with pytest.raises(DataError, match=r"a.tgz: unfolds to far more than its size\n.*ZOO_MAX_ARCHIVE"):
        read_archive(path, ["wanted"])


def test_links_back_into_an_archive_cost_no_square(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "MAX_RATIO", 2)
    path = tar_of(
        tmp_path / "a.tgz",
        {"big": random.Random(0).randbytes(1 << 20)},
        *(special(f"link{number}", tarfile.LNKTYPE, "big") for number in range(40)),
    )
    with pytest.raises(DataError, match="unfolds to far more than its size"):
        read_archive(path)


def test_a_debian_package_is_streamed(tmp_path: Path) -> None:
    if shutil.which("dpkg-deb") is None:
        pytest.skip("there is no dpkg-deb")
    control = tmp_path / "root" / "DEBIAN"
    control.mkdir(parents=True)
    (control / "control").write_text("Package: x\nVersion: 1\nArchitecture: all\nMaintainer: x\nDescription: x\n")
    (tmp_path / "root" / "hello").write_bytes(HELLO)
    command = ["dpkg-deb", "--build", str(tmp_path / "root"), str(tmp_path / "x.deb")]
    subprocess.run(command, check=True, capture_output=True)
    assert read_archive(tmp_path / "x.deb") == {"hello": HELLO}
    (tmp_path / "y.deb").write_bytes(b"nothing")
    with pytest.raises(DataError, match=r"y.deb: damaged archive"):
        read_archive(tmp_path / "y.deb")
