"""Free memory is that of the machine or of the container, whichever is less; files as the kernel writes them."""

from __future__ import annotations

from pathlib import Path

import psutil  # type: ignore[import-untyped]
import pytest

from zoo_core.storage.machine import free_memory

MB = 1 << 20
DOCKER_2 = {
    "proc/self/cgroup": "0::/\n",
    "sys/fs/cgroup/memory.max": f"{512 * MB}\n",
    "sys/fs/cgroup/memory.current": f"{300 * MB}\n",
    "sys/fs/cgroup/memory.stat": f"anon {200 * MB}\ninactive_file {60 * MB}\n",
}
DOCKER_1 = {
    "proc/self/cgroup": "9:cpu,cpuacct:/docker/abc\n4:memory:/docker/abc\n0::/docker/abc\n",
    "sys/fs/cgroup/memory/memory.limit_in_bytes": f"{512 * MB}\n",
    "sys/fs/cgroup/memory/memory.usage_in_bytes": f"{300 * MB}\n",
    "sys/fs/cgroup/memory/memory.stat": f"inactive_file {1 * MB}\ntotal_inactive_file {60 * MB}\n",
}
SLICE = {
    "proc/self/cgroup": "0::/user.slice/job\n",
    "sys/fs/cgroup/user.slice/memory.max": f"{400 * MB}\n",
    "sys/fs/cgroup/user.slice/memory.current": f"{128 * MB}\n",
    "sys/fs/cgroup/user.slice/job/memory.max": "max\n",
}
FULL = {**DOCKER_2, "sys/fs/cgroup/memory.current": f"{900 * MB}\n", "sys/fs/cgroup/memory.stat": "\0"}
UNLIMITED_1 = {**DOCKER_1, "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n"}


@pytest.mark.parametrize(
    ("files", "free"), [(DOCKER_2, 272), (DOCKER_1, 272), (SLICE, 272), (FULL, 0), (UNLIMITED_1, None), ({}, None)]
)
def test_the_smaller_of_the_machine_and_its_groups_counts(
    files: dict[str, str], free: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = psutil.virtual_memory()._replace(available=4096 * MB)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: machine)
    for name, words in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(words)
    assert free_memory(tmp_path) == (4096 if free is None else free) * MB
