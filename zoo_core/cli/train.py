"""`zoo pretrain`, `zoo finetune` and `zoo resume`: from words to a recipe, through the run, to what came of it."""

from __future__ import annotations

import re
from argparse import Namespace
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from zoo_core.cli.render import Output, duration, measured_with, metric_rows, question
from zoo_core.cli.session import Answer, Finished, Session
from zoo_core.errors import UsageError

if TYPE_CHECKING:
    from zoo_core.config.recipe import Recipe
    from zoo_core.contract.events import Reporter
    from zoo_core.registry.card import Card
    from zoo_core.runs.publish import RunResult

_ROLE = re.compile(r"([a-z][a-z0-9_]*)=(.+)", re.DOTALL)


def pretrain(arguments: Namespace, session: Session) -> Answer:
    """Run a recipe."""
    from zoo_core.config.recipe import load_recipe

    named = [f'name="{arguments.name}"'] if arguments.name else []
    return _carry_out(load_recipe(arguments.recipe, [*arguments.settings, *named], session.host), arguments, session)


def finetune(arguments: Namespace, session: Session) -> Answer:
    """Run the recipe that follows from a checkpoint, a task and data."""
    from zoo_core.config.finetune import finetune_recipe

    recipe = finetune_recipe(
        arguments.model,
        arguments.task,
        arguments.data,
        parse_columns(arguments.columns),
        arguments.settings,
        session.host,
        session.registry,
        register_as=arguments.name,
    )
    return _carry_out(recipe, arguments, session)


def resume(arguments: Namespace, session: Session) -> Answer:
    """Go on with the run in a folder."""
    from zoo_core.api import resume as continued

    return _reported(
        lambda reporter: continued(arguments.folder, overrides=arguments.settings, reporter=reporter, zoo=session.zoo),
        session,
    )


def parse_columns(words: Sequence[str]) -> dict[str, str]:
    """`input=body,label=stars` as role to column; a comma inside a column's name stays. Raises `UsageError`."""
    columns: dict[str, str] = {}
    for part in [part for word in words for part in re.split(r",(?=[a-z][a-z0-9_]*=)", word)]:
        match = _ROLE.fullmatch(part)
        if match is None:
            raise UsageError(f"--columns {part!r} is not of the form role=column", hint="for example: label=stars")
        if match[1] in columns:
            raise UsageError(f"--columns names the role {match[1]} twice")
        columns[match[1]] = match[2]
    return columns


def _carry_out(recipe: Recipe, arguments: Namespace, session: Session) -> Answer:
    if arguments.print_recipe:
        return Answer(document=recipe.to_data, show=lambda output: output.line(recipe.to_yaml().rstrip("\n")))
    from zoo_core.api import train

    if owned := session.registry.owned_elsewhere(recipe.name):
        session.errors.line(owned)
    return _reported(
        lambda reporter: train(
            recipe, folder=arguments.folder, resume=arguments.resume, reporter=reporter, zoo=session.zoo
        ),
        session,
    )


def _reported(work: Callable[[Reporter], RunResult], session: Session) -> Answer:
    """A run watched from its start to its end, or what it was stopped by."""
    from zoo_core.training.signals import Interrupted

    reporter = session.reporter()
    try:
        result = work(reporter)
    except Interrupted:  # all ranks alike
        from zoo_core.training.hardware import destroy_process_group

        destroy_process_group()
        raise
    finally:
        reporter.close()
    from zoo_core.training.hardware import destroy_process_group

    if not destroy_process_group() or result.card is None:
        raise Finished(0)
    return _answer(result, _next_steps(result.card, session))


def _answer(result: RunResult, next_steps: Sequence[str]) -> Answer:
    """What came of a run: figures beside those of baselines, the curve, and what to type next."""
    stated = {metric.name: metric for metric in result.card.metrics} if result.card else {}
    rows = [
        replace(
            stated[name],
            value=value,
            baselines={baseline: figures[name] for baseline, figures in result.baselines.items() if name in figures},
        )
        for name, value in result.metrics.items()
    ]
    facts = _facts(result)

    def document() -> dict[str, Any]:
        shown = ("value", "interval", "better", "baselines")
        metrics = {metric.name: {name: getattr(metric, name) for name in shown} for metric in rows}
        return {**facts, "steps": result.steps, "seconds": result.seconds, "metrics": metrics, "next": list(next_steps)}

    def show(output: Output) -> None:
        if rows:
            output.table(*metric_rows(rows))
        for line in (*_measured(result), *measured_with(rows)):
            output.line(line)
        known = {key: value or "" for key, value in facts.items()}
        output.pairs({**known, "steps": f"{result.steps:,}", "took": duration(result.seconds)})
        for command in next_steps:
            output.line(f"next: {command}")

    return Answer(document=document, show=show)


def _measured(result: RunResult) -> list[str]:
    """Which samples the figures are of, and which weights."""
    if result.card is None or not result.card.metrics:
        return []
    first, best = result.card.metrics[0], result.card.training.get("best_step")
    return [
        f"figures of split {first.split}, {first.samples:,} samples, with the weights of step {best}, which were kept"
    ]


def _facts(result: RunResult) -> dict[str, str | None]:
    curve = result.folder / "curve.png"
    assert result.card is not None
    return {
        "checkpoint": result.card.full_name,
        "folder": str(result.folder),
        "learning curve": str(curve) if curve.is_file() else None,
    }


def _next_steps(card: Card, session: Session) -> list[str]:
    name, spec = session.registry.use(card), session.host.find("task", card.task, [card.plugin]).spec
    steps = [question(name, spec)] if spec.outputs else []
    return steps if spec.labelled else [*steps, f"zoo finetune {name} --task TASK --data DATA"]
