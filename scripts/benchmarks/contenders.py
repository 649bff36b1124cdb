"""The loops that are compared. Each trains a workload for its steps and returns the mean losses it logged every 50 steps."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from workloads import CLIP, LOG_EVERY, Workload, loader, optimizer_of, schedule_of

from zoo_core.contract import Dataset, SilentReporter
from zoo_core.testing import Hardware, Run, RunComponents, RunFolder, prepare, signal_handler, torch_settings

Contender = Callable[[Workload], list[float]]


def zoo(work: Workload) -> list[float]:
    """Our loop as `train()` runs it, with its metrics file; no evaluation, one checkpoint after the last step."""
    return run_zoo(work, lambda dataset: dataset)[1]


def run_zoo(work: Workload, feed: Callable[[Dataset], Dataset]) -> tuple[RunComponents, list[float]]:
    """The same on what `feed` makes of the training data; also returns what was trained."""
    recipe = work.resolved()
    with tempfile.TemporaryDirectory() as folder, torch_settings(recipe.training), signal_handler() as stop:
        hardware = Hardware(recipe.training)
        prepared = prepare(recipe, work.host, hardware, None, None)
        files = RunFolder(Path(folder) / "run")
        run = Run(recipe, prepared, hardware, files, work.host, SilentReporter(), stop)
        run.begin()
        prepared.train = feed(prepared.train)
        run.work()
        lines = [json.loads(line)["train"] for line in files.metrics.read_text().splitlines()]
    return prepared, [line.get("loss", line.get("discriminate/loss")) for line in lines]


def hand_written(work: Workload) -> list[float]:
    """What one writes with nothing but PyTorch."""
    if work.adversarial:
        return _hand_written_pair(work)
    prepared = work.prepared()
    model = prepared.task.model.train()
    optimizer = optimizer_of(model)
    schedule = schedule_of(optimizer, work.steps)
    parameters = list(model.parameters())
    total, logged = torch.zeros(()), []
    for step, batch in enumerate(loader(prepared, work.steps), start=1):
        loss = work.loss(model, batch)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(parameters, CLIP)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        total += loss.detach()
        if step % LOG_EVERY == 0:
            logged.append(total.item() / LOG_EVERY)
            total.zero_()
    return logged


def _hand_written_pair(work: Workload) -> list[float]:
    """The same for two networks: the discriminator rests, without gradients, while the generator learns."""
    prepared = work.prepared()
    modules = prepared.task.modules()
    generator, discriminator = modules["generator"].train(), modules["discriminator"].train()
    optimizers = {"g": optimizer_of(generator), "d": optimizer_of(discriminator)}
    schedules = [schedule_of(optimizer, work.steps) for optimizer in optimizers.values()]
    own = {"g": list(generator.parameters()), "d": list(discriminator.parameters())}
    totals, logged = torch.zeros(2), []

    def update(key: str, loss: Tensor) -> None:
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(own[key], CLIP)
        optimizers[key].step()
        optimizers[key].zero_grad()

    for step, batch in enumerate(loader(prepared, work.steps), start=1):
        with torch.no_grad():
            fake = generator(batch["latent"])
        loss_d = F.softplus(-discriminator(batch["vectors"])).mean() + F.softplus(discriminator(fake)).mean()
        update("d", loss_d)
        discriminator.requires_grad_(False)
        loss_g = F.softplus(-discriminator(generator(batch["latent"]))).mean()
        update("g", loss_g)
        discriminator.requires_grad_(True)
        for schedule in schedules:
            schedule.step()
        totals += torch.stack([loss_d.detach(), loss_g.detach()])
        if step % LOG_EVERY == 0:
            logged.append(totals.tolist()[0] / LOG_EVERY)
            totals.zero_()
    return logged


def accelerate(work: Workload) -> list[float]:
    """The loop of accelerate's documentation: four objects prepared, `accumulate`, `backward`, `clip_grad_norm_`."""
    from accelerate import Accelerator

    prepared = work.prepared()
    accelerator = Accelerator(cpu=True)
    optimizer = optimizer_of(prepared.task.model)
    model, optimizer, batches, schedule = accelerator.prepare(
        prepared.task.model, optimizer, loader(prepared, work.steps), schedule_of(optimizer, work.steps)
    )
    model.train()
    total, logged = torch.zeros(()), []
    for step, batch in enumerate(batches, start=1):
        with accelerator.accumulate(model):
            loss = work.loss(model, batch)
            accelerator.backward(loss)
            if accelerator.sync_gradients:
                accelerator.clip_grad_norm_(model.parameters(), CLIP)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
        total += loss.detach()
        if step % LOG_EVERY == 0:
            logged.append(total.item() / LOG_EVERY)
            total.zero_()
    return logged


def trainer(work: Workload) -> list[float]:
    """Transformers' `Trainer`, without bar, integrations and checkpoints."""
    import transformers

    class OurLoss(transformers.Trainer):
        def compute_loss(self, model: nn.Module, inputs: Any, *arguments: Any, **options: Any) -> Tensor:
            return work.loss(model, inputs)

        def get_train_dataloader(self) -> Any:
            return self.accelerator.prepare(loader(prepared, work.steps))

    prepared = work.prepared()
    optimizer = optimizer_of(prepared.task.model)
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        arguments = transformers.TrainingArguments(
            output_dir=folder,
            max_steps=work.steps,
            logging_steps=LOG_EVERY,
            max_grad_norm=CLIP,
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            use_cpu=True,
        )
        schedule = schedule_of(optimizer, work.steps)
        peer = OurLoss(model=prepared.task.model, args=arguments, optimizers=(optimizer, schedule))
        peer.remove_callback(transformers.PrinterCallback)
        peer.train()
    return [float(entry["loss"]) for entry in peer.state.log_history if "loss" in entry]


def lightning(work: Workload) -> list[float]:
    """Lightning's `Trainer`, without bar, logger and checkpoints; the mean loss is kept by the module."""
    from lightning.pytorch import LightningModule, Trainer

    for name in ("lightning.pytorch.utilities.rank_zero", "lightning.pytorch.accelerators.cuda"):
        logging.getLogger(name).setLevel(logging.ERROR)
    prepared = work.prepared()
    logged: list[float] = []

    class Module(LightningModule):  # type: ignore[misc]  # not in the environment that types are checked in
        def __init__(self) -> None:
            super().__init__()
            self.model = prepared.task.model
            self.total = torch.zeros(())
            self.done = 0

        def training_step(self, batch: Any, number: int) -> Tensor:
            loss = work.loss(self.model, batch)
            self.total += loss.detach()
            self.done += 1
            if self.done % LOG_EVERY == 0:
                logged.append(self.total.item() / LOG_EVERY)
                self.total.zero_()
            return loss

        def configure_optimizers(self) -> Any:
            optimizer = optimizer_of(self.model)
            schedule = schedule_of(optimizer, work.steps)
            return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        peer = Trainer(
            accelerator="cpu",
            max_steps=work.steps,
            max_epochs=-1,
            gradient_clip_val=CLIP,
            log_every_n_steps=LOG_EVERY,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        peer.fit(Module(), loader(prepared, work.steps))
    return logged


BASE = "hand-written"

CONTENDERS: dict[str, Contender] = {
    BASE: hand_written,
    # The same once more: how far two equal loops differ is how far a figure can be trusted.
    "hand-written again": hand_written,
    "zoo": zoo,
    "accelerate": accelerate,
    "transformers": trainer,
    "lightning": lightning,
}

ADVERSARIAL = (BASE, "hand-written again", "zoo")
"""Who trains two networks: the others have no loop for it, one writes it by hand there too."""
