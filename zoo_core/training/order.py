"""The order of the data as a pure function of (seed, epoch): no loader state to save, no worker count that matters."""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Callable, Iterator
from itertools import chain, islice
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from zoo_core.contract.data import Batch, Dataset, SampleKey
from zoo_core.data.sampling import Order, Permutation
from zoo_core.errors import DataError
from zoo_core.training.guard import Watchdog
from zoo_core.training.workers import Asked, Bad, Collated, Drawn, Guarded, demand_workers, made_here, received

PATIENCE = 1800.0
"""Seconds that a batch may take where nobody says otherwise."""
_POOL = 64
"""Batches that are sorted by length together: enough to pad little, few enough to keep the order random."""


TRIES = 8
"""Samples that are tried in the place of a bad one where bad ones are left out."""
_POOLS = 1
"""Number of the first of an epoch's random streams that say in which order a pool has its batches."""
_STRETCH = 1024
"""Places of a permutation that are looked at together."""
_OTHERS = 1 << 128
"""Where the random stream of a key is read for what takes its sample's place: far from what the sample itself draws."""


class Cursor(NamedTuple):
    """Where in the data a run stands: the next global batch to consume."""

    epoch: int
    batch: int


class BatchPlan:
    """Global batches of sample indices, epoch by epoch.

    A global batch is what one optimizer step consumes. Its samples are dealt in turn to `parts` micro-batches
    (accumulation times ranks), so that their number can't change which samples a step sees; where `batch_cost` closes
    batches, they hold a multiple of `parts`. The tail that fills no batch is dropped for everyone; nothing is duplicated.
    """

    def __init__(
        self,
        size: int,
        *,
        batch_size: int,
        seed: int,
        lengths: np.ndarray | None = None,
        batch_cost: int | None = None,
        parts: int = 1,
        tries: int = 0,
        order: Order | None = None,
    ) -> None:
        """`tries` is how many samples may be drawn in the place of a bad one before it ends the run; without an `order`
        an epoch has each sample once, in one that chance says."""
        if size < 1:
            raise DataError("the training split is empty")
        if batch_size % parts:
            raise DataError(
                f"batch_size {batch_size} can't be dealt evenly to {parts} micro-batches (accumulation x ranks)"
            )
        if batch_cost is not None and lengths is None:
            raise DataError(
                "batch_cost needs samples with lengths; this data set has none", hint="leave batch_cost out"
            )
        self.size = size
        self.order = order
        self._drawn = drawn = size if order is None else len(order(seed, 0))
        # A data set smaller than a batch is one batch, cut to what the micro-batches can share.
        self.batch_size = batch_size if drawn >= batch_size else drawn - drawn % parts
        if self.batch_size < 1:
            raise DataError(f"{drawn} samples can't be dealt to {parts} micro-batches (accumulation x ranks)")
        if batch_cost is not None and lengths is not None and (least := int(lengths.max()) * parts) > batch_cost:
            each = f" in each of {parts} micro-batches" if parts > 1 else ""
            raise DataError(
                f"batch_cost is {batch_cost:,}, but the longest sample{each} costs {least:,}",
                hint=f"set training.batch_cost={least} or more, or leave the longest samples out",
            )
        self.seed = seed
        self.lengths = lengths
        self.batch_cost = batch_cost
        self.parts = parts
        self.tries = tries

    def others(self, key: SampleKey) -> Iterator[SampleKey]:
        """What is drawn in the place of a bad sample, one after the other: a function of its key, so that neither workers
        nor ranks nor a resumed run change it. Where lengths are known they are no longer, or among the shortest."""
        if not self.tries:
            return
        longest: float = math.inf
        if self.lengths is not None:
            shortest = np.partition(self.lengths, min(self.tries, self.size - 1))[: self.tries + 1].max()
            longest = max(self.lengths[key.index], shortest)
        words = [key.seed, (key.epoch << 40) | key.index]
        random = np.random.Generator(np.random.Philox(key=words, counter=_OTHERS))
        order = Permutation(self.size, random)
        stretches = (order[start : start + _STRETCH] for start in range(0, self.size, _STRETCH))
        fit = (stretch if self.lengths is None else stretch[self.lengths[stretch] <= longest] for stretch in stretches)
        others = (place for stretch in fit for place in stretch.tolist() if place != key.index)
        for place in islice(others, self.tries):
            yield key._replace(index=place)

    def batches(self) -> int:
        """Global batches of the first epoch; where `batch_cost` closes batches, other epochs may have a few more or fewer."""
        return self._drawn // self.batch_size if self.batch_cost is None else sum(1 for _ in self.epoch(0))

    def epoch(self, epoch: int, start: int = 0) -> Iterator[np.ndarray]:
        """The global batches of an epoch from number `start` on, each an array of indices, made when they are asked for."""
        if self.order is None:
            order: Permutation | np.ndarray = Permutation(self.size, self._random(epoch))
        else:
            order = self.order(self.seed, epoch)
        # Unless costs close batches, each pool has as many: those before the start needn't be made.
        pool = 0 if self.batch_cost is not None else start // _POOL
        return islice(self._pooled(order, epoch, pool), start - pool * _POOL, None)

    def _pooled(self, order: Permutation | np.ndarray, epoch: int, pool: int) -> Iterator[np.ndarray]:
        """The batches of an epoch from a pool on; where lengths are known, alike ones together and then in any order."""
        unit, size = (self.batch_size if self.batch_cost is None else self.parts), self.batch_size * _POOL
        # Chance says which samples fill no batch; were they cut off behind the sorting, it would always be the longest.
        end = len(order) - len(order) % unit
        for number, start in enumerate(range(pool * size, end, size), pool):
            chunk = order[start : min(start + size, end)]
            if self.lengths is None:
                yield from self._cut(chunk)
            else:
                found = self._cut(chunk[np.argsort(self.lengths[chunk], kind="stable")])
                yield from (found[i] for i in self._random(epoch, _POOLS + number).permutation(len(found)))

    def _random(self, epoch: int, stream: int = 0) -> np.random.Generator:
        return np.random.Generator(np.random.Philox(key=[self.seed, epoch], counter=stream << 160))

    def _cut(self, order: np.ndarray) -> list[np.ndarray]:
        if self.batch_cost is None:
            return np.split(order, len(order) // self.batch_size) if len(order) else []
        assert self.lengths is not None
        return _packed(order, self.lengths, self.batch_size, self.batch_cost, self.parts)

    def walk(self, cursor: Cursor) -> Iterator[tuple[Cursor, np.ndarray]]:
        """Global batches from `cursor` on without end, each with the cursor after it."""
        epoch, number = cursor
        while True:
            batches = self.epoch(epoch, number)
            batch = next(batches, None)
            while batch is not None:
                following = next(batches, None)
                number += 1
                yield (Cursor(epoch, number) if following is not None else Cursor(epoch + 1, 0)), batch
                batch = following
            epoch, number = epoch + 1, 0


class GlobalBatch(NamedTuple):
    """What one optimizer step consumes on this rank."""

    cursor: Cursor
    """Where the data stands after it."""
    epoch: int
    """The epoch that it is of; the cursor may stand at the next one."""
    micro_batches: list[Batch]
    samples: int
    """Samples of the global batch, over all ranks."""
    bad: list[Bad]
    """Samples of this rank that others took the places of."""


def training_batches(
    dataset: Dataset,
    plan: BatchPlan,
    cursor: Cursor,
    *,
    rank: int,
    ranks: int,
    workers: int,
    pin: bool,
    timeout: float = PATIENCE,
) -> Iterator[GlobalBatch]:
    """Steps from `cursor` on without end; micro-batches are encoded by `workers` processes, or in this one for 0.

    A bad sample, for which the data set raises `DataError`, ends them, unless the plan has others tried in its place.
    Raises `TrainingError` where a worker dies, or a batch takes longer than `timeout` seconds to make, and names the sample.
    """
    accumulation = plan.parts // ranks
    # The loader reads ahead of the steps by as much as its workers like; what it has asked for waits here.
    asked: deque[tuple[Cursor, int, int]] = deque()

    def keys() -> Iterator[list[SampleKey]]:
        at, draws = cursor, _Draws(plan, cursor) if plan.order else None
        for after, batch in plan.walk(cursor):
            asked.append((after, at.epoch, len(batch)))
            earlier = draws.of(batch, at.epoch) if draws else None
            for micro in range(accumulation):
                own = slice(micro * ranks + rank, None, plan.parts)  # dealt in turn to accumulation x ranks
                places = batch[own].tolist()
                if earlier is None:
                    yield [SampleKey(plan.seed, at.epoch, index) for index in places]
                else:
                    yield [SampleKey(plan.seed, at.epoch, *drawn) for drawn in zip(places, earlier[own], strict=True)]
            at = after

    loader = _loader(dataset, plan.others, keys(), workers=workers, pin=pin, timeout=timeout)
    while True:
        drawn = [next(loader) for _ in range(accumulation)]
        after, epoch, samples = asked.popleft()
        yield GlobalBatch(
            after, epoch, [batch.samples for batch in drawn], samples, [bad for batch in drawn for bad in batch.bad]
        )


def evaluation_plan(dataset: Dataset, *, batch_size: int, batch_cost: int | None = None) -> list[np.ndarray]:
    """Batches of indices that hold every sample once, in order of length where lengths are known.

    `batch_cost` caps the padded units of a batch; a sample that costs more is a batch of its own.
    """
    lengths = np.zeros(len(dataset), dtype=np.int64) if dataset.lengths is None else dataset.lengths
    return _packed(np.argsort(lengths, kind="stable"), lengths, batch_size, batch_cost)


def evaluation_batches(
    dataset: Dataset,
    *,
    batch_size: int,
    batch_cost: int | None = None,
    rank: int,
    ranks: int,
    workers: int,
    timeout: float = PATIENCE,
) -> Iterator[Batch]:
    """The batches of the plan that are this rank's; they are dealt to the ranks in turn.

    Nothing takes the place of a bad sample: the figures would be of others. Raises as `training_batches` does.
    """
    plan = evaluation_plan(dataset, batch_size=batch_size, batch_cost=batch_cost)
    keys = [[SampleKey(0, 0, int(index)) for index in batch] for batch in plan[rank::ranks]]
    loader = _loader(dataset, _nothing, iter(keys), workers=workers, pin=False, timeout=timeout)
    return (drawn.samples for drawn in loader)


def _packed(order: np.ndarray, lengths: np.ndarray, most: int, cost: int | None, parts: int = 1) -> list[np.ndarray]:
    """Neighbours in batches of at most `most` samples and `cost` padded units, in multiples of `parts`, which go together
    however long they are; what is left of fewer is dropped."""
    batches, start = [], 0
    while len(order) - start >= parts:
        window = order[start : start + most]
        if cost is not None:
            # Cost of the first 1, 2, ... samples, each padded to the longest of them.
            padded = np.maximum.accumulate(lengths[window]) * np.arange(1, len(window) + 1)
            window = window[: max(parts, int(np.searchsorted(padded, cost, side="right")))]
        window = window[: len(window) - len(window) % parts]
        batches.append(window)
        start += len(window)
    return batches


class _Draws:
    """How often an epoch has had each sample, where its order may have some more than once."""

    def __init__(self, plan: BatchPlan, cursor: Cursor) -> None:
        """As it is at the cursor."""
        self.epoch, self.seen = cursor.epoch, Counter[int]()
        for batch in islice(plan.epoch(cursor.epoch), cursor.batch):
            self.of(batch, cursor.epoch)

    def of(self, batch: np.ndarray, epoch: int) -> list[int]:
        """For each sample of a global batch how many draws of it came before."""
        if epoch != self.epoch:
            self.epoch, self.seen = epoch, Counter()
        earlier = []
        for place in batch.tolist():
            earlier.append(self.seen[place])
            self.seen[place] += 1
        return earlier


class _Keyed(TorchDataset[Any]):
    """What torch's loader indexes with sample keys."""

    def __init__(
        self, dataset: Dataset, others: Callable[[SampleKey], Iterator[SampleKey]], watchdog: Watchdog
    ) -> None:
        self.dataset, self.others, self.watchdog = dataset, others, watchdog

    def __getitem__(self, key: SampleKey) -> Any:
        return self._sample(key, [])

    def __getitems__(self, keys: list[SampleKey]) -> Drawn:
        bad: list[Bad] = []
        drawn = Drawn([self._sample(key, bad) for key in keys], bad)
        self.watchdog.sample = None
        return drawn

    def _sample(self, key: SampleKey, bad: list[Bad]) -> Any:
        """The sample, or the first sound one of the others; those before it are added to `bad`."""
        failed: list[DataError] = []
        for each in chain([key], self.others(key)):
            self.watchdog.sample = each.index
            try:
                return self.dataset.sample(each)
            except DataError as error:
                failed.append(error)
                bad.append(Bad(each.index, error.message, error.hint))
        if len(failed) == 1:
            raise failed[0]
        raise DataError(
            f"{failed[0].message} (and the {len(failed) - 1} samples tried in its place are bad as well)",
            hint=failed[0].hint,
        )


def _nothing(key: SampleKey) -> Iterator[SampleKey]:
    return iter(())


def _loader(
    dataset: Dataset,
    others: Callable[[SampleKey], Iterator[SampleKey]],
    keys: Iterator[list[SampleKey]],
    *,
    workers: int,
    pin: bool,
    timeout: float,
) -> Iterator[Any]:
    demand_workers(workers)
    watchdog, asked = Watchdog(timeout), Asked(keys)
    loader: DataLoader[Any] = DataLoader(
        Guarded(_Keyed(dataset, others, watchdog), watchdog),
        batch_sampler=asked,
        collate_fn=Collated(dataset.collate, watchdog),
        num_workers=workers,
        # A worker ends a batch by itself; this is for one that can't.
        timeout=timeout + watchdog.grace if workers else 0,
        pin_memory=pin,
        # Its own generator: the loader draws a base seed, which must not come out of the run's random stream.
        generator=torch.Generator(),
    )
    return received(iter(loader), asked, watchdog) if workers else made_here(iter(loader), watchdog)
