"""A plugin whose model is put together from the checkpoints of others: pictures and their names."""

from __future__ import annotations

from dataclasses import dataclass

from zoo_core import DataSpec, ModelSpec, SampleType, TaskSpec, hookimpl

zoo_api = (2, 0)

PAIR = SampleType(name="pair", fields=("image", "word"))


@dataclass(frozen=True, kw_only=True, slots=True)
class TowersConfig:
    """Two encoders and a common space."""

    width: int = 8


@hookimpl
def zoo_models() -> list[ModelSpec]:
    """One good one, and one that keeps no part."""
    return [
        ModelSpec(
            name=name,
            summary="two encoders",
            target=f"zoo_toys.towers:{target}",
            config=TowersConfig,
            sizes={"tiny": {}},
            tasks=("matching",),
            parts=("image", "text"),
            head=("scale",),
        )
        for name, target in (("towers", "Towers"), ("losing", "losing"))
    ]


@hookimpl
def zoo_data() -> list[DataSpec]:
    """Drawn pictures with words."""
    return [DataSpec(name="pairs", summary="stripes and words", target="zoo_toys.towers:Pairs", samples=PAIR)]


@hookimpl
def zoo_tasks() -> list[TaskSpec]:
    """Which word belongs to which picture."""
    return [
        TaskSpec(name="matching", summary="match", target="zoo_toys.towers:Matching", reads=(PAIR,), labelled=False)
    ]
