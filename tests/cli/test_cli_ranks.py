"""Processes that fail together: what all of them would say is said once."""

from __future__ import annotations

import subprocess
import sys


def test_an_error_that_ranks_share_is_said_once_and_another_is_said_too() -> None:
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=3", "--no-python"]
    each = (
        f"exec {sys.executable} -m zoo_core pretrain recipe-$((RANK / 2))"  # the main one and the second say the same
    )
    done = subprocess.run([*launch, "sh", "-c", each], capture_output=True, text=True, timeout=300, check=False)
    errors = sorted(line for line in done.stderr.splitlines() if line.startswith("error: "))
    assert errors == ["error: unknown recipe 'recipe-0'", "error: unknown recipe 'recipe-1'"], done.stderr
