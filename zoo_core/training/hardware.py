"""Devices, ranks and precision, set up by accelerate; gradients are summed over ranks here."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import timedelta
from typing import Any, NamedTuple, Self, TypeVar

import torch
import torch.distributed as dist
from accelerate import Accelerator
from accelerate.utils import DistributedType, InitProcessGroupKwargs
from torch import Tensor, nn
from torch.distributed import distributed_c10d

from zoo_core.config.settings import Training
from zoo_core.errors import TrainingError, UsageError
from zoo_core.training.signals import ending_at_once

Given = TypeVar("Given")

_BUCKET = 1 << 24
"""Elements reduced together; bounds the copy at 64 MiB."""


class Sum(NamedTuple):
    """A sum under way."""

    total: Tensor
    """In double precision where the device has it: in any order it comes to the same number in `dtype`."""
    dtype: torch.dtype
    """What was added, and its unit."""

    @classmethod
    def of(cls, value: Tensor) -> Self:
        """A sum that begins with `value`."""
        wide = value.is_floating_point() and value.device.type != "mps"
        return cls(value.double() if wide else value, value.dtype)

    def plus(self, value: Tensor) -> Self:
        """The sum with another term."""
        return self._replace(total=self.total + value)


class Hardware:
    """Where a run computes: one device per process, any number of processes.

    Gradients are reduced after the backward pass in fixed buckets rather than by DistributedDataParallel: its buckets
    are laid out anew after the first step, so a resumed run of three or more ranks would add in another order and end
    with other bits. Modules stay unwrapped, so a task may call any of their methods.
    """

    def __init__(self, training: Training) -> None:
        cpu = training.device == "cpu" or not torch.accelerator.is_available()
        launched = _launched(os.environ)
        accelerator = _gathered(launched, cpu, training.timeout)
        if accelerator.num_processes != launched:
            raise TrainingError(
                f"{launched} processes were launched but accelerate sees {accelerator.num_processes}",
                hint="use torchrun, or accelerate launch with --multi_gpu or a configuration file",
            )
        if accelerator.distributed_type in _SHARDED:
            raise UsageError(
                f"accelerate is configured for {accelerator.distributed_type}, which this loop doesn't shard for",
                hint="launch with plain data parallelism",
            )
        self.device: torch.device = accelerator.device
        self.rank: int = accelerator.process_index
        self.ranks: int = accelerator.num_processes
        self._agreed: dict[str, list[bool]] = {}
        self.precision = _precision(training, accelerator.mixed_precision)

    @property
    def is_main(self) -> bool:
        """Whether this process writes files and reports."""
        return self.rank == 0

    def autocast(self) -> AbstractContextManager[Any]:
        """The forward pass's precision."""
        if self.precision == "no":
            return nullcontext()
        return torch.autocast(self.device.type, dtype=torch.bfloat16)

    def describe(self) -> str:
        """One line for people: device, ranks, precision."""
        name = torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else self.device.type
        ranks = f" x {self.ranks}" if self.ranks > 1 else ""
        threads = f", {torch.get_num_threads()} threads" if self.device.type == "cpu" else ""
        return f"{name}{ranks}{threads}, {'float32' if self.precision == 'no' else self.precision}"

    def broadcast(self, model: nn.Module) -> None:
        """Give every rank rank 0's tensors of a model."""
        self.broadcast_tensors(model.state_dict().values())

    def broadcast_tensors(self, tensors: Iterable[Tensor]) -> None:
        """Give every rank rank 0's values, in place."""
        if self.ranks > 1:
            for tensor in tensors:
                dist.broadcast(tensor, 0)

    def reduce_gradients(self, phase: str, parameters: Sequence[nn.Parameter], weight: Tensor) -> Tensor:
        """Sum gradients in place and the weight over ranks, always in the same order; returns the total weight."""
        if self.ranks == 1:
            return weight
        weight = weight.clone()
        dist.all_reduce(weight)
        for bucket in _buckets(self._receivers(phase, parameters)):
            grads = [p.grad if p.grad is not None else torch.zeros_like(p) for p in bucket]
            flat = torch.cat([grad.reshape(-1) for grad in grads])
            dist.all_reduce(flat)
            parts = torch.split(flat, [grad.numel() for grad in grads])
            for parameter, part in zip(bucket, parts, strict=True):
                parameter.grad = part.view_as(parameter).clone()
        return weight

    def _receivers(self, phase: str, parameters: Sequence[nn.Parameter]) -> list[nn.Parameter]:
        """The parameters that get a gradient in a phase, on any rank: agreed once, so that later steps need no word.

        A parameter without a gradient must stay out, because an optimizer treats none and zero differently.
        """
        here = [p.grad is not None for p in parameters]
        if phase not in self._agreed:
            anywhere = torch.tensor(here, dtype=torch.float32, device=self.device)
            dist.all_reduce(anywhere, op=dist.ReduceOp.MAX)
            self._agreed[phase] = [bool(flag) for flag in anywhere.tolist()]
        agreed = self._agreed[phase]
        if any(mine and not all_ranks for mine, all_ranks in zip(here, agreed, strict=True)):
            raise TrainingError(
                f"phase {phase}: a parameter got a gradient that had none on the first step",
                hint="with several ranks a phase must always reach the same parameters; split it in two",
            )
        return [p for p, receives in zip(parameters, agreed, strict=True) if receives]

    def agree(self, flag: bool) -> bool:
        """Whether any rank says yes; the same answer everywhere."""
        if self.ranks == 1:
            return flag
        tensor = torch.tensor(float(flag), device=self.device)
        dist.all_reduce(tensor, op=dist.ReduceOp.MAX)
        return bool(tensor.item())

    def gather(
        self, sums: Mapping[str, Sum], lists: Mapping[str, Mapping[int, list[Any]]]
    ) -> dict[str, Tensor | list[Any]]:
        """Tensors summed over ranks, and numbered lists joined in the order of their numbers; the same on every rank.

        A rank may lack names that others have: one that had nothing to do has none.
        """
        kinds = {name: (tuple(part.total.shape), part.total.dtype, part.dtype) for name, part in sums.items()}
        known: dict[str, tuple[tuple[int, ...], torch.dtype, torch.dtype]] = {}
        numbered: dict[str, dict[int, list[Any]]] = {}
        for theirs, more in self._everyone((kinds, lists)):
            for name, kind in theirs.items():
                if known.setdefault(name, kind) != kind:
                    raise TrainingError(f"{name!r} of an evaluation is {known[name]} on one rank, {kind} on another")
            for name, parts in more.items():
                numbered.setdefault(name, {}).update(parts)
        whole: dict[str, Tensor | list[Any]] = {}
        for name, (shape, wide, dtype) in known.items():
            own = sums[name].total if name in sums else torch.zeros(shape, dtype=wide, device=self.device)
            whole[name] = self._sum(own).to(dtype)
        for name, parts in numbered.items():
            whole[name] = [item for number in sorted(parts) for item in parts[number]]
        return whole

    def rows(self, parts: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
        """The rows of all micro-batches of all ranks, by name and in the order of the batch, of which this rank's are `parts`,
        as many as every rank has, with (B, ...) each. This rank's own are the tensors given, so that they get gradients."""
        whole = {}
        for name in sorted(parts[0]):
            dealt: list[Tensor] = []
            for part in parts:
                dealt += self._of_each_rank(part[name])
            # A batch is dealt in turn: its sample r is row r // len(dealt) of part r % len(dealt).
            whole[name] = torch.stack(dealt, 1).flatten(0, 1) if len(dealt) > 1 else dealt[0]
        return whole

    def _of_each_rank(self, tensor: Tensor) -> list[Tensor]:
        if self.ranks == 1:
            return [tensor]
        found = [torch.empty_like(tensor.detach(), memory_format=torch.contiguous_format) for _ in range(self.ranks)]
        dist.all_gather(found, tensor.detach().contiguous())
        found[self.rank] = tensor
        return found

    def from_main(self, work: Callable[[], Given]) -> Given:
        """What `work` gives on the main rank, for every rank; it is done nowhere else. Where it raises, all raise."""
        if self.ranks == 1:
            return work()
        outcome: list[Any] = [None, ""]
        failure: Exception | None = None
        if self.is_main:
            try:
                outcome[0] = work()
            except Exception as error:  # noqa: BLE001 - it goes on below, when the others have been told
                failure, outcome[1] = error, f"{type(error).__name__}: {error}"
        dist.broadcast_object_list(outcome, 0, device=self.device)
        if failure is not None:
            raise failure
        if outcome[1]:
            raise TrainingError(f"the main rank can't go on: {outcome[1]}")
        return outcome[0]  # type: ignore[no-any-return]

    def _everyone(self, value: Given) -> list[Given]:
        """The value of each rank, in their order."""
        if self.ranks == 1:
            return [value]
        values: list[Any] = [None] * self.ranks
        dist.all_gather_object(values, value)
        return values

    def _sum(self, tensor: Tensor) -> Tensor:
        if self.ranks == 1:
            return tensor
        total = tensor.clone()
        dist.all_reduce(total)
        return total

    def share(self, text: str) -> str:
        """Rank 0's text, on every rank."""
        if self.ranks == 1:
            return text
        box = [text]
        dist.broadcast_object_list(box, 0)
        return box[0]

    def wait(self) -> None:
        """Let every rank come to this point."""
        if self.ranks > 1:
            dist.barrier()


def destroy_process_group() -> bool:
    """End the group of the processes that were launched together, if there is one; all of them have to come here.

    Returns whether this process is the main one, which speaks for all. Now and then torch aborts a process that exits as
    a member, after all the work is done (pytorch issue 190489).
    """
    if not dist.is_initialized():
        return True
    main = dist.get_rank() == 0
    dist.barrier()
    dist.destroy_process_group()
    return main


@contextmanager
def torch_settings(training: Training) -> Iterator[None]:
    """The run's process-wide torch settings, put back afterwards."""
    precision, deterministic = torch.get_float32_matmul_precision(), torch.are_deterministic_algorithms_enabled()
    # cuBLAS reads this when it starts; without it the deterministic mode raises at the first matrix product.
    ours = training.deterministic and _WORKSPACE not in os.environ
    try:
        if ours:
            os.environ[_WORKSPACE] = ":4096:8"
        torch.set_float32_matmul_precision(training.matmul_precision)
        torch.use_deterministic_algorithms(training.deterministic)
        yield
    finally:
        torch.set_float32_matmul_precision(precision)
        torch.use_deterministic_algorithms(deterministic)
        if ours:
            os.environ.pop(_WORKSPACE, None)


def _launched(environ: Mapping[str, str]) -> int:
    """How many processes a launcher started. Raises `UsageError` where variables of one are left over."""
    counts = {name: environ.get(name, "") for name in _COUNTS}
    for name, value in counts.items():
        if value and not value.isdecimal():
            raise UsageError(f"{name} is {value!r}, and a launcher sets a number", hint=_LEFT_OVER)
    launched = int(counts["WORLD_SIZE"] or "1")
    missing = [name for name in (*_COUNTS, "MASTER_ADDR", "MASTER_PORT") if not environ.get(name)]
    if missing and (launched > 1 or counts["LOCAL_RANK"]):
        there = ", ".join(f"{name}={value}" for name, value in counts.items() if value)
        raise UsageError(f"{there} is set as by a launcher, but not {', '.join(missing)}", hint=_LEFT_OVER)
    if launched > 1 and int(counts["RANK"]) >= launched:
        raise UsageError(f"RANK={counts['RANK']} is not among the {launched} of WORLD_SIZE", hint=_LEFT_OVER)
    return launched


def _gathered(launched: int, cpu: bool, timeout: float) -> Accelerator:
    """The accelerator, once all processes that were launched have found one another. Raises `TrainingError` in time."""
    if launched == 1 or dist.is_initialized():
        return Accelerator(cpu=cpu)
    limit = min(RENDEZVOUS, timeout)
    try:
        with ending_at_once():
            patience = InitProcessGroupKwargs(timeout=timedelta(seconds=limit))
            accelerator = Accelerator(cpu=cpu, kwargs_handlers=[patience])
    except (RuntimeError, ValueError) as error:
        place = f"{os.environ['MASTER_ADDR']}:{os.environ['MASTER_PORT']}"
        reason = str(error).partition("\n")[0][:200]
        raise TrainingError(
            f"{launched} processes should meet at {place} within {limit:g} s, and didn't: {reason}",
            hint=_LEFT_OVER,
        ) from error
    distributed_c10d._set_pg_timeout(timedelta(seconds=timeout))
    return accelerator


RENDEZVOUS = 300.0
"""Seconds in which the processes that were launched have to find one another."""
_COUNTS = ("RANK", "LOCAL_RANK", "WORLD_SIZE")
_LEFT_OVER = (
    "start all of them with torchrun, or, to train alone, unset RANK, LOCAL_RANK, WORLD_SIZE, MASTER_ADDR, MASTER_PORT"
)
_WORKSPACE = "CUBLAS_WORKSPACE_CONFIG"
_SHARDED = (DistributedType.FSDP, DistributedType.DEEPSPEED, DistributedType.MEGATRON_LM)


def _precision(training: Training, launched: str) -> str:
    wanted = launched if training.mixed_precision == "auto" else training.mixed_precision
    if wanted not in ("no", "bf16"):
        raise UsageError(f"mixed precision {wanted} needs loss scaling, which this loop doesn't do", hint="use bf16")
    return wanted


def _buckets(parameters: Sequence[nn.Parameter]) -> Iterator[list[nn.Parameter]]:
    bucket: list[nn.Parameter] = []
    size = 0
    for parameter in parameters:
        if bucket and (size + parameter.numel() > _BUCKET or parameter.dtype != bucket[0].dtype):
            yield bucket
            bucket, size = [], 0
        bucket.append(parameter)
        size += parameter.numel()
    if bucket:
        yield bucket
