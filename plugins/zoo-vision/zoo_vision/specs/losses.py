"""Losses."""

from __future__ import annotations

from zoo_core.contract import LossSpec

LOSSES = [
    LossSpec(
        name="nt-xent",
        summary="cross-entropy between two views of the same samples",
        target="zoo_vision.losses:nt_xent",
        config="zoo_vision.configs.models:NTXentConfig",
        inputs=("first", "second"),
        paper="A Simple Framework for Contrastive Learning of Visual Representations, ICML 2020, equation 1",
    )
]
