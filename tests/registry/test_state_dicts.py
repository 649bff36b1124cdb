"""Files of `torch.save`: weights alone, read in a process that can open nothing."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from zoo_core.errors import CorruptFile, UnsafeFormat
from zoo_core.registry import convert
from zoo_core.registry.convert import read_state_dict


def saved(held: Any, *, legacy: bool = False) -> bytes:
    buffer = io.BytesIO()
    torch.save(held, buffer, _use_new_zipfile_serialization=not legacy)
    return buffer.getvalue()


def plain() -> dict[str, Tensor]:
    torch.manual_seed(0)
    base, tied = torch.randn(6, 5), torch.arange(4.0)
    kinds = (torch.float64, torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.half, torch.bfloat16)
    return {
        **{f"z.{str(kind).removeprefix('torch.')}": torch.arange(3).to(kind) for kind in kinds},
        "bool": torch.tensor([True, False, True]),
        "empty": torch.zeros(0, 3),
        "scalar": torch.tensor(7),
        "transposed": torch.randn(4, 3).T,
        "part": base[2:4, 1:3],
        "tied": tied,
        "again": tied,
        **nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2)).state_dict(prefix="a."),
    }


@pytest.mark.parametrize("legacy", [False, True])
def test_the_tensors_are_those_that_were_saved_in_their_order(legacy: bool) -> None:
    theirs = plain()
    found = read_state_dict(saved(OrderedDict(theirs), legacy=legacy), where="a.pth")
    assert list(found) == list(theirs)
    assert all(
        found[name].dtype == tensor.dtype and torch.equal(found[name], tensor) for name, tensor in theirs.items()
    )


class Call:
    """Would run a command."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (self.command,)


def test_what_would_run_is_refused_by_name_and_not_run(tmp_path: Path) -> None:
    data = saved({"x": torch.zeros(2), "y": Call(f"touch {tmp_path / 'marker'}")})
    with pytest.raises(UnsafeFormat, match=r"^a\.pth: expected a state dict of tensors alone: .*posix\.system"):
        read_state_dict(data, where="a.pth")
    assert list(tmp_path.iterdir()) == []


def unfolding() -> bytes:
    """A packed archive of a few MB whose storage unfolds to gigabytes."""
    plain = io.BytesIO(saved({"x": torch.zeros(4)}))
    packed = io.BytesIO()
    with zipfile.ZipFile(plain) as old, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as new:
        for info in old.infolist():
            with new.open(info.filename, "w", force_zip64=True) as member:
                if info.filename.endswith("data/0"):
                    for _ in range(1024):
                        member.write(bytes(1 << 20))
                else:
                    member.write(old.read(info))
    return packed.getvalue()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (saved({"x": torch.zeros(4)})[:200], "expected a state dict of tensors alone: RuntimeError"),
        (saved({"x": 3}), "found dict, or something in it that is no tensor"),
        (saved({"x": torch.zeros(1).expand(1 << 40)}), "expected a state dict"),
        (unfolding(), "expected a state dict"),
    ],
    ids=["cut", "number", "expanded", "unfolding"],
)
def test_damage_and_what_is_no_state_dict_is_refused_within_the_limits(data: bytes, message: str) -> None:
    with pytest.raises(CorruptFile, match=message):
        read_state_dict(data, where="a.pth")


def test_reading_has_a_limit_of_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(convert, "SECONDS", 0.01)
    with pytest.raises(CorruptFile, match=r"took more than 0\.01 seconds"):
        read_state_dict(saved({}), where="a.pth")


def test_the_process_that_reads_can_open_neither_a_file_nor_a_connection() -> None:
    code = (
        "import socket\nfrom zoo_core.registry.convert import send_state_dict\nsend_state_dict()\n"
        "for attempt in (socket.socket, lambda: open('/etc/hostname')):\n"
        "    try: attempt(); raise SystemExit('opened')\n"
        "    except OSError: pass\n"
    )
    done = subprocess.run([sys.executable, "-c", code], input=saved({}), capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
