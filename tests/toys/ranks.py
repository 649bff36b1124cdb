"""What every rank runs under torchrun: a run, the same run interrupted and resumed, and the comparison of their bits."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import torch
import torch.distributed as dist
from zoo_toys.runs import recipe, toy_zoo

from zoo_core.api import train
from zoo_core.contract.events import SilentReporter
from zoo_core.errors import ZooError
from zoo_core.runs.folder import final_digest
from zoo_core.training.hardware import destroy_process_group
from zoo_core.training.signals import Interrupted


class StopOnce(SilentReporter):
    """Sends the main rank the signal that a scheduler would."""

    def logged(self, step, steps, metrics, rate, seconds_left):  # type: ignore[no-untyped-def]
        if step == 6:
            os.kill(os.getpid(), signal.SIGTERM)


def main(root: Path) -> None:
    """Run and compare; raises where something differs."""
    rank, ranks = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    for shape in ("single", "adversarial"):
        made = recipe(shape, batch_size=12, steps=8)
        whole, cut = root / f"whole-{shape}", root / f"cut-{shape}"
        train(made, folder=whole, zoo=toy_zoo(root / "home"))
        try:
            train(made, folder=cut, zoo=toy_zoo(root / "home"), reporter=StopOnce())
            raise AssertionError("the signal was not heeded")
        except Interrupted as stop:
            assert stop.exit_code == 143
        train(made, folder=cut, zoo=toy_zoo(root / "home"), resume=True)
        dist.barrier()
        assert final_digest(cut) == final_digest(whole), f"{shape}: other bits after a resume on {ranks} ranks"
    spoiled = recipe("single", batch_size=12, steps=8)
    spoiled["data"] |= {"spoiled": (3, 30, 50), "bad": "skip"}
    card = train(spoiled, folder=root / "spoiled", zoo=toy_zoo(root / "home")).card
    assert rank or (card is not None and "3 of 64 training samples" in card.notes), (
        "bad samples of other ranks are lost"
    )
    spoiled["data"] |= {"max_bad": 0.03}
    try:
        train(spoiled, folder=root / "too-spoiled", zoo=toy_zoo(root / "home"))
        raise AssertionError("a rank went on with more bad samples than are allowed")
    except ZooError as error:
        assert "max_bad" in str(error)
    os.chdir(root)
    for place in ("runs/toy_tiny.single", "runs/toy_tiny.single-2"):
        # The main rank chooses and locks the folder, the others follow.
        assert str(train(recipe("single", batch_size=12, steps=2), zoo=toy_zoo(root / "home")).folder) == place
    dist.barrier()
    try:
        train(recipe("single", batch_size=7), folder=root / "odd", zoo=toy_zoo(root / "home"))
        raise AssertionError("a batch that can't be dealt to the ranks was taken")
    except ZooError as error:
        assert "ranks" in str(error)
    if rank == 0:
        print(f"{ranks} ranks ok")
    destroy_process_group()


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(Path(sys.argv[1]))
