"""One training run from recipe to registered checkpoint: what surrounds the loop."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from torch import Tensor

from zoo_core.config.loading import CheckpointOpener
from zoo_core.config.recipe import Recipe
from zoo_core.contract.events import CheckpointSaved, Reporter, RunStarted, SilentReporter, StepLogged
from zoo_core.contract.specs import RunInfo
from zoo_core.contract.task import At
from zoo_core.errors import NonFiniteLoss, ResumeError
from zoo_core.models import build
from zoo_core.plugins.host import PluginHost, model_name
from zoo_core.preflight import identity
from zoo_core.preflight.claim import Claim
from zoo_core.preflight.guards import Guards
from zoo_core.preflight.identity import Identity
from zoo_core.preflight.preflight import preflight
from zoo_core.preflight.setup import InitCheckpoint, RunComponents, identity_of, open_parts, open_start, pinned, prepare
from zoo_core.preflight.snapshot import Snapshot
from zoo_core.preflight.statistics import Statistics
from zoo_core.registry.card import Card
from zoo_core.registry.registry import Registry
from zoo_core.runs.early_stopping import EarlyStopping
from zoo_core.runs.finishing import complete
from zoo_core.runs.folder import RunFolder
from zoo_core.runs.publish import RunResult, measure_final, publish
from zoo_core.runs.replaced import Replaced
from zoo_core.runs.watchers import Watchers, ended
from zoo_core.storage import fs
from zoo_core.tasks.baselines import left_out
from zoo_core.tasks.evaluate import artifacts, evaluate, micro_batch
from zoo_core.training import state
from zoo_core.training.agreement import Agreement
from zoo_core.training.ema import Ema
from zoo_core.training.guard import attempt
from zoo_core.training.hardware import Hardware, torch_settings
from zoo_core.training.loop import Loop, StepResult
from zoo_core.training.meter import Clock
from zoo_core.training.order import Cursor, training_batches
from zoo_core.training.signals import Interrupted, Stop, Stopping, signal_handler
from zoo_core.training.state import TrainerState


def train(
    recipe: Recipe,
    *,
    host: PluginHost,
    registry: Registry,
    claim: Claim,
    reporter: Reporter | None = None,
) -> RunResult:
    """Run a recipe to its end in the claimed folder, register the checkpoint and return what came of it.

    A signal lets the step finish, saves a checkpoint and raises `Interrupted`. Raises `ResumeError` when the folder holds
    another run, which is then left as it was, and `NonFiniteLoss` when more updates are non-finite than the recipe allows;
    the folder then still holds the last good checkpoint.
    """
    with torch_settings(recipe.training), signal_handler() as stop:
        hardware = Hardware(recipe.training)
        files = RunFolder(Path(hardware.share(str(claim.folder))))
        kept = files.origin() if claim.resumes else None
        if kept:
            identity.refuse_other_recipe(kept.recipe, recipe, host, files.path)
        start = open_start(recipe, host, registry, kept.init if kept else None)
        parts = open_parts(recipe, host, registry, kept.init if kept else None)
        opener = CheckpointOpener(registry, kept.uses if kept else {})
        prepared = prepare(recipe, host, hardware, start, files.kept_preprocessor() if kept else None, parts, opener)
        preflight(recipe, prepared, hardware, host, registry, files.path, stop=stop)
        run = Run(recipe, prepared, hardware, files, host, reporter or SilentReporter(), stop)
        status: Literal["finished", "stopped", "failed"] = "failed"
        try:
            run.begin(kept, start.reference if start else pinned(parts))
            run.work()
            result = run.finish(registry, start)
            status = "finished"
            return result
        except KeyboardInterrupt:
            status = "stopped"
            raise
        finally:
            run.end(status)


class Run:
    """The state of one run around its loop."""

    def __init__(
        self,
        recipe: Recipe,
        prepared: RunComponents,
        hardware: Hardware,
        files: RunFolder,
        host: PluginHost,
        reporter: Reporter,
        stop: Stop,
    ) -> None:
        training = recipe.training
        self.recipe, self.prepared, self.hardware, self.files = recipe, prepared, hardware, files
        self.host, self.reporter, self.stop = host, reporter, stop
        self.agreement = Agreement(hardware, lambda: stop.signal is not None)
        self.model = prepared.task.model
        self.ema = Ema(self.model, training.ema_decay) if training.ema_decay else None
        self.loop = Loop(
            prepared.task,
            updates=prepared.updates,
            training=training,
            schedule=prepared.schedule,
            steps=prepared.steps,
            hardware=hardware,
            ema=self.ema,
            frozen=prepared.frozen,
        )
        self.evaluate_every = training.evaluate_every or max(1, prepared.steps // 10)
        self.save_every = training.save_every or self.evaluate_every
        self.cursor, self.first = Cursor(0, 0), 0
        self.best = EarlyStopping(prepared.task.monitor[1], training.patience)
        self.skipped = 0
        self.replaced = Replaced(recipe.data, len(prepared.train), hardware, self._resume_command)
        self.evaluation_pending = False
        self.saved: int | None = None
        statistics = Statistics(prepared, hardware, training)
        self.snapshot = Snapshot(prepared.task, self.ema, prepared.updates, statistics)
        self.guards = Guards(prepared.task, self.snapshot, self._message)
        self.identity: Identity | None = None
        self.watchers = Watchers(host, training.extras_timeout, self._message)
        self.card: Card | None = None
        self.clock = Clock()
        self.info = RunInfo(
            name=recipe.name,
            folder=str(files.path),
            task=recipe.task.id,
            model=model_name(prepared.model_id, prepared.size),
            steps=prepared.steps,
            seed=training.seed,
            recipe=recipe.to_data(),
        )

    def begin(self, kept: Identity | None = None, init: str = "") -> None:
        """Lay out the folder, or take up the newest checkpoint in it; `kept` is what the run in the folder is, `init` which
        checkpoint it starts from. A folder that can't be continued is left as it was."""
        self.hardware.from_main(lambda: self.watchers.make(self.recipe))
        what = identity_of(self.recipe, self.prepared, self.hardware, kept, init)
        if kept:
            identity.refuse_changes(kept, what, self.files.path)
        found = state.newest(self.files.checkpoints) if kept and state.steps(self.files.checkpoints) else None
        if found and found[0].world != self.hardware.ranks:
            raise ResumeError(
                f"{self.files.path} ran on {found[0].world} rank(s), now there are {self.hardware.ranks}",
                hint=f"torchrun --nproc_per_node={found[0].world} -m zoo_core resume {self.files.path}",
            )
        self.identity, self.stop.advice = what, f"continue with: {self._resume_command}"
        if found:
            self._resume(*found)
        elif self.hardware.is_main:
            preprocessor = self.prepared.preprocessor
            self.files.start(self.recipe, preprocessor.files() if preprocessor and not self.recipe.init else {}, what)
            made = attempt(
                lambda: self.prepared.task.input_artifacts(self.prepared.train), self.recipe.training.extras_timeout
            )
            if made.problem:
                self._message(left_out("the preview", made.problem))
            self.files.keep_artifacts(0, made.value or {})
        self.hardware.wait()
        if self.hardware.is_main:
            self.reporter.started(self.info, self._facts())
            for notice in self.prepared.notices:
                self._message(notice)
            if self.prepared.adaptation and not self.prepared.adaptation.exact:
                self._message(f"{self.recipe.init}: {self.prepared.adaptation.describe()}")
            then = found[0].versions if found else kept.environment if kept else what.environment
            if changed := identity.changed_environment(then, what.environment):
                self._message(changed)
            self.watchers.tell(RunStarted(run=self.info, step=self.first), found[0].watchers if found else {})

    def work(self) -> None:
        """Run the loop from where the run stands."""
        prepared, hardware = self.prepared, self.hardware
        batches = training_batches(
            prepared.train, prepared.plan, self.cursor, rank=hardware.rank, ranks=hardware.ranks,
            workers=self.recipe.training.workers, pin=hardware.device.type == "cuda",
            timeout=self.recipe.training.timeout,
        )  # fmt: skip
        if self.evaluation_pending:
            self._evaluate(self.first)
        if self.first == 0:
            self.guards.first_look()
        if not self.best.lost_patience:
            self.loop.run(self.replaced.counted(batches), self.first, self._after_step)

    def finish(self, registry: Registry, start: InitCheckpoint | None) -> RunResult:
        """Take the best weights, measure them on the test split, register them, and see to what follows."""
        seconds, cpu_seconds = self.clock.read()
        step = self.best.step if self.best.step is not None else self.first
        if self.best.step is not None and self.best.step != self.saved:
            self.snapshot.restore(*state.read(self.files.checkpoints / state.folder_name(self.best.step)))
        self.prepared.notices += self.replaced.notices()
        with self.snapshot.evaluated():
            final, card = measure_final(self.recipe, self.prepared, self.hardware, self._check), None
            if self.hardware.is_main:
                # Before the checkpoint's folder, which says that the run is finished.
                kind = "test" if final.split == self.recipe.training.test_split else "final"
                self.files.record(step, kind, final.metrics)
                self.watchers.tell(StepLogged(run=self.info, step=step, kind="test", metrics=final.metrics))
                card = publish(
                    self.recipe,
                    self.prepared,
                    final,
                    registry,
                    folder=self.files.path,
                    parent=start.reference if start and not self.recipe.fresh else "",
                    training={
                        "steps": self.first,
                        "best_step": step,
                        "seconds": round(seconds, 1),
                        "cpu_seconds": round(cpu_seconds, 1),
                        "device": self.hardware.describe(),
                        "ranks": self.hardware.ranks,
                        "run": self.identity.run if self.identity else "",
                    },
                )
        baselines: Mapping[str, Mapping[str, float]] = {}
        if card is not None:
            card, baselines = complete(
                card, recipe=self.recipe, registry=registry, files=self.files, split=final.split,
                step=self.first, best_step=step, stop=self.stop, say=self._message,
            )  # fmt: skip
        self.card = card
        return RunResult(
            folder=self.files.path, card=card, metrics=final.metrics, baselines=baselines, steps=self.first,
            seconds=seconds,
        )  # fmt: skip

    def end(self, status: Literal["finished", "stopped", "failed"]) -> None:
        """Tell everyone that the run is over."""
        if self.hardware.is_main and self.identity:
            self.files.say(status)
            self.watchers.tell(ended(self.info, status, self.first, self.card, self.files.path))
            self.reporter.ended(status)

    def _after_step(self, moment: StepResult) -> bool:
        step, training = moment.step, self.recipe.training
        self.first, self.cursor = step, moment.done.cursor
        self.guards.after_step(step)
        last = step == self.prepared.steps
        logs = step % training.log_every == 0 or last
        stopping = self.agreement.wants_stop("step", at_once=logs)
        due = (step % self.evaluate_every == 0 or last) and self.prepared.evaluation is not None
        evaluates, self.evaluation_pending = due and not stopping, due and stopping
        saves = step % self.save_every == 0 or last or stopping
        if logs or evaluates or saves:
            self._log(step)
        try:
            improved = self._evaluate(step) if evaluates else False
        except Stopping:
            self._save(step)
            raise
        if saves or improved:
            self._save(step)
        if stopping:
            raise Interrupted(self.stop.exit_code or 143, f"stopped at step {step}; {self.stop.advice}")
        return self.best.lost_patience

    def _check(self) -> None:
        """Raise between two batches where a rank was asked to stop."""
        if self.agreement.wants_stop("batch"):
            raise Stopping(self.stop.exit_code or 143, f"stopped after step {self.first}; {self.stop.advice}")

    def _log(self, step: int) -> None:
        metrics, skipped = self.loop.meter.take()
        self.skipped += skipped
        if self.hardware.is_main and metrics:
            metrics["lr"] = max(update.lr() for update in self.prepared.updates.values())
            self.files.record(step, "train", metrics, epoch=self.cursor.epoch)
            rate, planned = metrics["samples_per_second"], self.prepared.steps
            self.reporter.logged(step, planned, metrics, rate, (planned - step) * metrics["seconds_per_step"])
            self.watchers.tell(StepLogged(run=self.info, step=step, kind="train", metrics=metrics))
        for notice in self.replaced.final_notices():
            self._message(notice)
        if self.skipped > self.recipe.training.skip_nonfinite:
            raise NonFiniteLoss(
                f"step {step}: {self.skipped} update(s) had a non-finite loss or gradient and were left out",
                hint=f"lower optimizer.lr, or allow some: {self._allow_some()}",
            )

    def _evaluate(self, step: int) -> bool:
        """Measure, keep what the task leaves, and say whether it is the best so far."""
        prepared, training = self.prepared, self.recipe.training
        assert prepared.evaluation is not None
        batch_size, batch_cost = micro_batch(training, self.hardware.ranks)
        with self.snapshot.evaluated():
            self.evaluation_pending = True
            found = evaluate(
                prepared.task, prepared.evaluation, hardware=self.hardware, batch_size=batch_size,
                batch_cost=batch_cost, workers=training.workers, timeout=training.timeout, check=self._check,
                at=At(step, prepared.steps, self.cursor.epoch),
            )  # fmt: skip
            self.evaluation_pending = False
            made = artifacts(prepared.task, found, seconds=training.extras_timeout) if self.hardware.is_main else None
        improved = self.best.improved(step, found.metrics[prepared.task.monitor[0]])
        if self.hardware.is_main and made is not None:
            self.files.record(step, "evaluation", found.metrics)
            self.files.keep_artifacts(step, made.value or {}, training.evaluate_split)
            if made.problem:
                self._message(left_out(f"step {step}: plots of the evaluation", made.problem))
            self.reporter.evaluated(step, found.metrics)
            self.watchers.tell(StepLogged(run=self.info, step=step, kind="evaluation", metrics=found.metrics))
        self.loop.meter.restart()
        return improved

    def _save(self, step: int) -> None:
        if self.saved == step:
            return
        self.guards.before_save(step, self.saved)
        self.saved = step
        assert self.identity is not None
        if self.hardware.is_main:
            tensors, optimizers, task = self.snapshot.take()
            seconds, cpu_seconds = self.clock.read()
            facts = TrainerState(
                step=step,
                epoch=self.cursor.epoch,
                batch=self.cursor.batch,
                best_step=self.best.step,
                best_value=self.best.value,
                evals_since_best=self.best.evals_since_best,
                evaluation_pending=self.evaluation_pending,
                skipped=self.skipped,
                world=self.hardware.ranks,
                data=self.prepared.data_digest,
                recipe=self.recipe.to_data(),
                optimizers=optimizers,
                task=task,
                watchers=self.watchers.states(),
                versions=dict(self.identity.environment),
                seconds=seconds,
                cpu_seconds=cpu_seconds,
                bad=self.replaced.found(),
            )
            folder = state.save(self.files.checkpoints, facts, tensors)
            state.rotate(self.files.checkpoints, keep=self.recipe.training.keep, best_step=self.best.step)
            self.watchers.tell(CheckpointSaved(run=self.info, step=step, folder=folder))
        self.hardware.wait()
        self.loop.meter.restart()

    def _resume(self, facts: TrainerState, tensors: Mapping[str, Tensor], passed: Mapping[int, str]) -> None:
        self.snapshot.restore(facts, tensors)
        self.clock = Clock(facts.seconds, facts.cpu_seconds)
        self.first, self.cursor = facts.step, Cursor(facts.epoch, facts.batch)
        self.replaced.take_up(facts.bad)
        self.best.step, self.best.value, self.best.evals_since_best = (
            facts.best_step,
            facts.best_value,
            facts.evals_since_best,
        )
        self.skipped, self.saved, self.evaluation_pending = facts.skipped, facts.step, facts.evaluation_pending
        if self.hardware.is_main:
            assert self.identity is not None
            for step, reason in passed.items():
                self._message(f"passed over a damaged checkpoint: {reason}")
                # Its step comes again, and its place must be free then.
                fs.remove_folder(self.files.checkpoints / state.folder_name(step))
            self.files.take_up(facts.step, self.identity)
            self._message(f"resumed at step {facts.step}")

    @property
    def _resume_command(self) -> str:
        return f"zoo resume {shlex.quote(str(self.files.path))}"

    def _allow_some(self) -> str:
        if self.saved is None:
            return f"training.skip_nonfinite={self.skipped}"
        return f"{self._resume_command} skip_nonfinite={self.skipped} goes on from step {self.saved}, which is sound"

    def _facts(self) -> dict[str, str]:
        prepared = self.prepared
        return {
            "run": self.recipe.name,
            "model": f"{self.info.model}, {build.parameter_count(self.model):,} parameters",
            "task": self.recipe.task.id,
            "data": f"{self.recipe.data.id}, {len(prepared.train):,} training samples",
            "steps": f"{prepared.steps:,} of {prepared.plan.batch_size} samples",
            "hardware": self.hardware.describe(),
            "folder": str(self.files.path),
        }

    def _message(self, text: str) -> None:
        self.files.say(text)
        self.reporter.message(text)
