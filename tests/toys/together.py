"""Starts runs of one recipe together and resumes runs twice: each must get a folder and weights of its own, or a refusal.

Every run is a forked child that tells its story through a pipe.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from zoo_toys.runs import recipe, toy_zoo

from zoo_core.api import resume, train
from zoo_core.contract.events import SilentReporter
from zoo_core.errors import ZooError
from zoo_core.preflight.lock import InUse
from zoo_core.runs.folder import final_digest
from zoo_core.training.signals import Interrupted

SEEDS = (0, 1)


class Child:
    """A forked child and what it says."""

    def __init__(self, work: Callable[[int], dict[str, Any]]) -> None:
        read, write = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(read)
            try:
                said = work(write)
            except BaseException as error:  # noqa: BLE001 - whatever it is, the parent must hear it
                said = {"error": f"{type(error).__name__}: {error}", "in_use": isinstance(error, InUse)}
            os.write(write, json.dumps(said).encode() + b"\n")
            os._exit(0)
        os.close(write)
        self.stream = os.fdopen(read)

    def line(self) -> dict[str, Any]:
        """The next thing it says."""
        said: dict[str, Any] = json.loads(self.stream.readline() or '{"error": "silence"}')
        return said

    def end(self) -> dict[str, Any]:
        """The last thing it says, once it is gone."""
        said = [json.loads(line) for line in self.stream]
        os.waitpid(self.pid, 0)
        self.stream.close()
        return said[-1] if said else {"error": "silence"}


class Waits(SilentReporter):
    """Says that the run has begun, and goes on when it is told to."""

    def __init__(self, tell: int, told: int) -> None:
        self.tell, self.told = tell, told

    def started(self, run: Any, facts: Mapping[str, str]) -> None:
        """Wait."""
        os.write(self.tell, b'{"begun": true}\n')
        os.read(self.told, 1)


class Stops(SilentReporter):
    """Stops the run behind its first checkpoint."""

    def logged(self, step: int, steps: int, metrics: Mapping[str, float], rate: float, seconds_left: float) -> None:
        """As Ctrl-C does."""
        if step == 4:
            os.kill(os.getpid(), signal.SIGINT)


def whole(root: Path, seed: int) -> str:
    """The digest of a run that has everything to itself."""
    return final_digest(
        train(recipe("single", seed=seed), folder=root / f"whole-{seed}", zoo=toy_zoo(root / "home")).folder
    )


def start(root: Path, seed: int) -> Child:
    """A run with the usual folder."""

    def work(_: int) -> dict[str, Any]:
        os.chdir(root)
        result = train(recipe("single", seed=seed), zoo=toy_zoo(root / "home"))
        return {"folder": result.folder.name, "digest": final_digest(result.folder), "card": result.card is not None}

    return Child(work)


def pair(root: Path, delay: float, expected: Mapping[int, str]) -> int:
    """Two runs, the second started `delay` seconds later; how many have the right weights in a folder of their own."""
    first = start(root, 0)
    time.sleep(delay)
    second = start(root, 1)
    ends = [first.end(), second.end()]
    folders = {end.get("folder") for end in ends}
    right = sum(end.get("digest") == expected[seed] for seed, end in zip(SEEDS, ends, strict=True))
    if len(folders) != 2 or right != 2:
        print(f"delay {delay:.3f}: {ends}")
        return 0
    stories = [root / "runs" / end["folder"] / "identity.json" for end in ends]
    seeds = [json.loads(story.read_text())["recipe"]["training"]["seed"] for story in stories]
    shutil.rmtree(root / "runs")
    return right if seeds == list(SEEDS) else 0


def resumed_twice(root: Path, expected: str) -> bool:
    """Whether a second resume of one run is refused with the first one's number, and the first ends as it should."""
    folder, zoo = root / "twice", toy_zoo(root / "home")
    with contextlib.suppress(Interrupted):
        train(recipe("single", seed=0), folder=folder, zoo=zoo, reporter=Stops())
    told, tell = os.pipe()

    def first(write: int) -> dict[str, Any]:
        os.close(tell)
        return {"digest": final_digest(resume(folder, zoo=zoo, reporter=Waits(write, told)).folder)}

    alive = Child(first)
    os.close(told)
    begun = alive.line()
    refused = Child(lambda _: {"steps": resume(folder, zoo=zoo).steps}).end()
    os.close(tell)
    end = alive.end()
    shutil.rmtree(folder)
    right = bool(begun.get("begun") and refused.get("in_use") and f"process {alive.pid} on" in refused["error"])
    if not right or end.get("digest") != expected:
        print(begun, refused, end)
        return False
    return True


def main() -> int:
    """Run the trials; 0 if all went right."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--pairs", type=int, default=4)
    parser.add_argument("--resumes", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    dice = random.Random(options.seed)
    root = options.folder.absolute()
    expected = {seed: whole(root, seed) for seed in SEEDS}
    # Most of them close together, where it matters.
    delays = [3.0 * dice.random() ** 4 for _ in range(options.pairs)]
    right = sum(pair(root, delay if number else 0.0, expected) for number, delay in enumerate(delays))
    refused = sum(resumed_twice(root, expected[0]) for _ in range(options.resumes))
    print(
        f"{options.pairs} pairs, {right} right; {options.resumes} double resumes, {refused} refusals; seed {options.seed}"
    )
    return 0 if right == 2 * options.pairs and refused == options.resumes else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except ZooError as error:
        sys.exit(f"error: {error}")
