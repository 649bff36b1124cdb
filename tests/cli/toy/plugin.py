"""A plugin with one architecture, three data sets and two tasks, as small as a plugin can be."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from zoo_core import DataSpec, ModelSpec, SampleType, TaskSpec, hookimpl

KINDS = ("json", "row", "file", "number")

zoo_api = (2, 0)

BITS = SampleType(name="bits", fields=("bits", "label"))


@dataclass(frozen=True, kw_only=True)
class Toy:
    width: int = 4
    scale: float = 1e-3


@dataclass(frozen=True, kw_only=True)
class Bits:
    count: int = 64


@dataclass(frozen=True, kw_only=True)
class BitsFile:
    path: str
    bits_column: str = "bits"
    label_column: str = "label"


@dataclass(frozen=True, kw_only=True)
class Options:
    top: int = 1


@hookimpl
def zoo_models():
    return [
        ModelSpec(
            name="toy",
            summary="sums of bits",
            target="zoo_toy.parts:build",
            config=Toy,
            modality="bits",
            sizes={"tiny": {}, "wide": {"width": 8}},
            tasks=("majority", "spelling", *(f"echo-{kind}" for kind in KINDS)),
            head=("head.",),
            license="Apache-2.0",
            paper="none",
        )
    ]


@hookimpl
def zoo_data():
    common = {"samples": BITS, "modality": "bits"}
    return [
        DataSpec(name="coins", summary="random bits", target="zoo_toy.parts:Coins", config=Bits, **common),
        DataSpec(name="bits-file", summary="your bits", target="zoo_toy.parts:Table", config=BitsFile, **common),
        DataSpec(
            name="far",
            summary="bits from afar",
            target="zoo_toy.parts:Coins",
            config=Bits,
            files={"bits.txt": hashlib.sha256(b"0101").hexdigest()},
            fetch="zoo_toy.parts:fetch",
            **common,
        ),
    ]


@hookimpl
def zoo_tasks():
    return [
        TaskSpec(
            name="majority",
            summary="more ones or zeros",
            target="zoo_toy.parts:Majority",
            reads=(BITS,),
            labelled=True,
            predict=Options,
            outputs=("label", "score", "scores"),
        ),
        TaskSpec(
            name="spelling",
            summary="bits as words",
            target="zoo_toy.parts:Spelling",
            reads=(BITS,),
            labelled=False,
            outputs=("words",),
        ),
        *(
            TaskSpec(
                name=f"echo-{kind}", summary="s", target="zoo_toy.parts:Echo", reads=(), labelled=False, input=kind
            )
            for kind in KINDS
        ),
    ]
