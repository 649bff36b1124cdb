"""Host time that the zoo's loop adds to a step of two networks and two optimizers, against a hand-written loop.

Both train the same DCGAN from the same weights on the same batches in the same order, and first have to end with the same
tensors when they draw the same latents. Then they run in one process in short turns, the hand-written one twice: what it
differs by from itself is the error of the figure.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.metadata import EntryPoint
from typing import Any

import torch
import torch.nn.functional as F
from contenders import run_zoo
from measure import Mark, compare, parser_of, record
from torch import Tensor
from workloads import Workload, loader

from zoo_core.contract import Dataset, SampleKey
from zoo_core.testing import PluginHost, RunComponents, key, reseed

BASE, AGAIN, OURS = "hand-written", "hand-written again", "zoo"
TURN, LOG_EVERY = 5, 100
"""Steps of a turn, and of a round, so that every round holds one log line of every loop."""
TOLERANCE = 1e-6
"""Largest difference of any trained number after the check."""
BAR = 2.0
"""Percent that our loop may add."""
MODEL, LATENT, BATCH, SEED = "dcgan_tiny", 100, 32, 0
"""Batches of a power of two, so that a mean and a sum that is divided later have the same gradients to the last bit."""
LEARNING_RATE, BETAS = 2e-4, (0.5, 0.999)

Draw = Callable[[int, int], Tensor]
"""Latents (B, Z) by step, from 0, and phase: 0 for the discriminator's, 1 for the generator's."""


def main() -> int:
    """Check, measure, print and write the record."""
    parser = parser_of("gan", __doc__, rounds=20, unit=f"rounds of {LOG_EVERY} steps per loop")
    options = parser.parse_args()
    if options.rounds < 2:
        parser.error("--rounds: at least 2, for a spread")
    torch.set_num_threads(1)
    difference = check_equal_work()
    print(
        f"after {dcgan(0).steps} steps with the same latents the tensors differ by at most {difference:g}", flush=True
    )
    table = measure(options.rounds)
    _show(table)
    if not options.no_record:
        work = {
            "steps_per_block": LOG_EVERY,
            "steps_per_turn": TURN,
            "log_every": LOG_EVERY,
            "batch_size": BATCH,
            "model": MODEL,
            "checked_steps": dcgan(0).steps,
            "checked_difference": difference,
            "bar_percent": BAR,
            "base": BASE,
            "loops": table,
        }
        body = {"threads": torch.get_num_threads(), "rounds": options.rounds, "workloads": {"dcgan": work}}
        path = record(f"gan-{options.machine}", body, libraries=("zoo-gan",))
        print(f"written: {path.parent.name}/{path.name}")
    return 0


def dcgan(steps: int) -> Workload:
    """Grey noise of 28 pixels: about 20 ms a step. Its first round warms up."""
    entry_points = [
        EntryPoint("zoo-bench", "bench_plugin", "zoo.plugins"),
        EntryPoint("zoo-gan", "zoo_gan.plugin", "zoo.plugins"),
    ]
    return Workload(
        name="dcgan",
        host=PluginHost(entry_points),
        recipe={
            "name": "dcgan_tiny.bench",
            "model": {"name": MODEL, "latent_dim": LATENT},
            "task": {"name": "image-generation"},
            "data": {"name": "images"},
            "preprocessor": {"image_size": 28, "in_channels": 1},
            "optimizer": {"name": "adam", "lr": LEARNING_RATE, "betas": list(BETAS)},
            "schedule": {"name": "constant", "warmup": 0},
            "training": {
                "batch_size": BATCH,
                "seed": SEED,
                "clip_norm": None,
                "log_every": LOG_EVERY,
                "save_every": 1_000_000,
                "evaluate_split": "none",
                "test_split": "none",
                "device": "cpu",
            },
        },
        loss=lambda model, batch: torch.zeros(()),
        warm_up=LOG_EVERY,
        measured=steps,
        adversarial=True,
    )


class Cached(Dataset):
    """The images of a data set, read once and gathered a batch at a time, so that data costs next to nothing."""

    def __init__(self, dataset: Dataset) -> None:
        self.images = torch.stack([dataset.sample(SampleKey(0, 0, index))[0] for index in range(len(dataset))])

    def __len__(self) -> int:
        return len(self.images)

    def sample(self, key: SampleKey) -> int:
        """The image's number."""
        return key.index

    def collate(self, samples: list[int]) -> dict[str, Tensor]:
        """`images` (B, 1, 28, 28), uint8."""
        return {"images": self.images[torch.tensor(samples)]}


class Turns(Cached):
    """Our loop's data, at whose batches the other loops get their turns; no loop is cut open for it."""

    def __init__(self, dataset: Dataset, others: Mapping[str, Iterator[None]]) -> None:
        super().__init__(dataset)
        self.others = others
        self.turns: dict[str, list[Mark]] = {name: [] for name in (*others, OURS)}
        self.steps = 0
        self.began = _now()

    def collate(self, samples: list[int]) -> dict[str, Tensor]:
        """The batch of our next step, after the others' turns where theirs have come."""
        if self.steps and self.steps % TURN == 0:
            self._end(OURS)
            names = list(self.others)
            # Whoever comes first finds our tensors in the caches.
            for name in names if self.steps // TURN % 2 else reversed(names):
                for _ in range(TURN):
                    next(self.others[name])
                self._end(name)
        self.steps += 1
        return super().collate(samples)

    def _end(self, name: str) -> None:
        now = _now()
        self.turns[name].append(Mark(now.cpu - self.began.cpu, now.wall - self.began.wall))
        self.began = _now()

    def rounds(self, count: int) -> dict[str, list[Mark]]:
        """Microseconds per step of the rounds after the first, which warms up."""
        size = LOG_EVERY // TURN
        starts = range(size, size * (count + 1), size)
        return {name: [_mean(turns[start : start + size]) for start in starts] for name, turns in self.turns.items()}


def hand_written(prepared: RunComponents, steps: int, draw: Draw) -> Iterator[None]:
    """What one writes with nothing but PyTorch; every `next` is a step."""
    modules = prepared.task.modules()
    generator, discriminator = modules["generator"].train(), modules["discriminator"].train()
    of_generator = torch.optim.Adam(generator.parameters(), lr=LEARNING_RATE, betas=BETAS, fused=True)
    of_discriminator = torch.optim.Adam(discriminator.parameters(), lr=LEARNING_RATE, betas=BETAS, fused=True)
    totals, logged = torch.zeros(2), []
    for step, batch in enumerate(loader(prepared, steps)):
        real = batch["images"].float() / 127.5 - 1.0
        with torch.no_grad():
            fake = generator(draw(step, 0))
        loss_d = -F.logsigmoid(discriminator(real)).mean() - F.logsigmoid(-discriminator(fake)).mean()
        loss_d.backward()  # type: ignore[no-untyped-call]
        of_discriminator.step()
        of_discriminator.zero_grad()
        discriminator.requires_grad_(False)
        loss_g = -F.logsigmoid(discriminator(generator(draw(step, 1)))).mean()
        loss_g.backward()  # type: ignore[no-untyped-call]
        of_generator.step()
        of_generator.zero_grad()
        discriminator.requires_grad_(True)
        totals += torch.stack([loss_d.detach(), loss_g.detach()])
        if (step + 1) % LOG_EVERY == 0:
            logged.append((totals / LOG_EVERY).tolist())
            totals.zero_()
        yield


def check_equal_work() -> float:
    """The largest difference between the tensors of both loops after a few steps; ends the script where it is large."""
    work = dcgan(0)
    ours, _ = run_zoo(work, Cached)
    theirs = _fed(work)

    def keyed(step: int, phase: int) -> Tensor:
        reseed(key(SEED, step, phase, 0, 0), torch.device("cpu"))
        return _drawn(step, phase)

    for _ in hand_written(theirs, work.steps, keyed):
        pass
    expected, found = theirs.task.model.state_dict(), ours.task.model.state_dict()
    differences = {name: float((found[name].double() - expected[name].double()).abs().max()) for name in expected}
    worst = max(differences, key=differences.__getitem__)
    difference = differences[worst]
    if not difference <= TOLERANCE:
        sys.exit(f"{worst} differs by {difference:g} between the loops: they don't do the same work")
    return difference


def measure(rounds: int) -> dict[str, dict[str, Any]]:
    """All loops in turns, and how they compare."""
    work = dcgan(rounds * LOG_EVERY)
    others = {name: hand_written(_fed(work), work.steps, _drawn) for name in (BASE, AGAIN)}
    turns: list[Turns] = []

    def feed(dataset: Dataset) -> Dataset:
        turns.append(Turns(dataset, others))
        return turns[0]

    run_zoo(work, feed)
    blocks = turns[0].rounds(rounds)
    table: dict[str, dict[str, Any]] = dict(compare(blocks, BASE))
    for name, marks in blocks.items():
        table[name] |= _spread("cpu", [mark.cpu for mark in marks], [mark.cpu for mark in blocks[BASE]])
        table[name] |= _spread("wall", [mark.wall for mark in marks], [mark.wall for mark in blocks[BASE]])
    return table


def _fed(work: Workload) -> RunComponents:
    """A fresh pair of networks and the cached data."""
    prepared = work.prepared()
    prepared.train = Cached(prepared.train)
    return prepared


def _drawn(step: int, phase: int) -> Tensor:
    return torch.randn(BATCH, LATENT)


def _now() -> Mark:
    return Mark(time.process_time(), time.perf_counter())


def _mean(turns: Sequence[Mark]) -> Mark:
    """Microseconds per step over turns."""
    steps = TURN * len(turns)
    return Mark(sum(turn.cpu for turn in turns) / steps * 1e6, sum(turn.wall for turn in turns) / steps * 1e6)


def _spread(clock: str, mine: Sequence[float], base: Sequence[float]) -> dict[str, list[float]]:
    """Quartiles, the median in the middle, of the differences within a round: in microseconds and in percent."""
    pairs = list(zip(mine, base, strict=True))
    micros = statistics.quantiles((a - b for a, b in pairs), n=4, method="inclusive")
    percents = statistics.quantiles(((a / b - 1) * 100 for a, b in pairs), n=4, method="inclusive")
    return {
        f"{clock}_over_us_quartiles": [round(value, 1) for value in micros],
        f"{clock}_over_percent_quartiles": [round(value, 2) for value in percents],
    }


def _show(table: Mapping[str, Mapping[str, Any]]) -> None:
    print(f"\nmicroseconds per step of two networks, and what is over {BASE}: lower quartile, median, upper quartile")
    for clock, words in (("cpu", "processor time"), ("wall", "the clock")):
        print(f"{words:<20}{'min':>9}{'median':>9}{'over, us':>25}{'over, %':>22}")
        for name, row in table.items():
            micros = "".join(f"{value:>+9.1f}" for value in row[f"{clock}_over_us_quartiles"])
            percents = "".join(f"{value:>+8.2f}" for value in row[f"{clock}_over_percent_quartiles"])
            print(f"{name:<20}{row[f'{clock}_us_min']:>9.0f}{row[f'{clock}_us_median']:>9.0f}{micros}{percents}")
    median = table[OURS]["cpu_over_percent_quartiles"][1]
    print(f"our loop adds {median:.2f} % of processor time, of {BAR:g} % that it may")


if __name__ == "__main__":
    sys.exit(main())
