"""Whether a run is to stop: asked of all ranks, answered after the same step on each of them, and without their devices."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist

from zoo_core.training.hardware import Hardware

INTERVAL = 0.5
"""Seconds between two questions, about; a signal is heeded one step after the next one."""
_MOST = 1000


class Agreement:
    """Ranks ask one another every few steps or batches; how many follows from the slowest of them, so that all count alike.

    An answer is taken up at the step after the question, when it has long arrived, and it goes from host to host: a device is
    never waited for. All ranks have to call `asked` equally often.
    """

    def __init__(self, hardware: Hardware, signalled: Callable[[], bool]) -> None:
        """`signalled` says whether this rank was asked to stop."""
        self.signalled, self.ranks = signalled, hardware.ranks
        apart = hardware.ranks > 1 and hardware.device.type != "cpu"
        self._group = dist.new_group(backend="gloo") if apart else None
        self._question: tuple[Any, torch.Tensor, str] | None = None
        self._every, self._turns, self._since = 1, 0, time.perf_counter()
        self._of = ""

    def wants_stop(self, of: str, *, at_once: bool = False) -> bool:
        """Whether any rank was asked to stop, as far as all of them know; `at_once` waits for the answer.

        `of` is what passed since the last call, a step or a batch: how long the one takes says nothing of the other.
        """
        if self.ranks == 1:
            return self.signalled()
        if of != self._of:
            # The clock starts here, so that this first one isn't counted.
            self._of, self._every, self._turns, self._since = of, 1, 0, time.perf_counter()
        else:
            self._turns += 1
        if self._question is None:
            if not at_once and self._turns < self._every:
                return False
            self._ask()
            if not at_once:
                return False
        return self._answer()

    def _ask(self) -> None:
        now = time.perf_counter()
        passed = (now - self._since) / self._turns if self._turns else math.inf
        told = torch.tensor([float(self.signalled()), passed], dtype=torch.float64)
        work = dist.all_reduce(told, op=dist.ReduceOp.MAX, group=self._group, async_op=True)
        self._question = work, told, self._of
        self._turns, self._since = 0, now

    def _answer(self) -> bool:
        assert self._question is not None
        work, told, of = self._question
        work.wait()
        self._question = None
        stop, seconds = told.tolist()
        if of == self._of:
            self._every = max(1, min(_MOST, int(INTERVAL / max(seconds, 1e-6))))
        return bool(stop)
