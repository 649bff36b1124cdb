"""Settings of the loop and of the learning-rate schedule, refused where impossible before anything is allocated."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """How the learning rate moves over the run."""

    name: Literal["constant", "linear", "cosine", "inverse-sqrt"] = "linear"
    """Shape after the warm-up."""
    warmup: float = 0.06
    """Warm-up, as a share of the run below 1 and as a number of steps from 1 on."""
    final: float = 0.0
    """Learning rate at the end, as a share of the base rate."""

    def __post_init__(self) -> None:
        """Refuse what could not be a schedule."""
        _require(self.warmup >= 0, "warmup", "at least 0", self.warmup)
        _require(0 <= self.final <= 1, "final", "between 0 and 1", self.final)


@dataclass(frozen=True, kw_only=True)
class Training:
    """How long and how the loop runs."""

    steps: int | None = None
    """Optimizer steps; either this or `epochs`."""
    epochs: float | None = None
    """Passes over the training split; either this or `steps`."""
    batch_size: int = 32
    """Samples per optimizer step, over all ranks and micro-batches; the most where `batch_cost` is given."""
    batch_cost: int | None = None
    """Most padded units (samples times the longest length) in a global batch; bounds memory where lengths vary.

    Batches of evaluations hold as much as a micro-batch, and a sample that is longer alone.
    """
    accumulation: int = 1
    """Micro-batches that a rank splits its share into; saves memory, does not change the result."""
    seed: int = 0
    """Seed of everything random in the run, 0 to 2^62."""
    clip_norm: float | None = 1.0
    """Largest gradient norm; larger gradients are scaled down to it."""
    ema_decay: float | None = None
    """Decay per step of the averaged weights that are evaluated and registered; none by default."""
    mixed_precision: Literal["auto", "no", "bf16"] = "auto"
    """Precision of the forward pass; `auto` takes what accelerate was launched with."""
    matmul_precision: Literal["highest", "high", "medium"] = "highest"
    """torch's float32 matrix-product precision; `medium` is much faster on some processors."""
    device: Literal["auto", "cpu"] = "auto"
    """`auto` takes the accelerator that accelerate finds."""
    compile: bool = False
    """Compile the modules with torch.compile; phases with double backward stay eager."""
    gradient_checkpointing: bool = False
    """Recompute activations in the backward pass to save memory."""
    deterministic: bool = False
    """Use deterministic kernels only; on a GPU exact resume needs it."""
    freeze: tuple[str, ...] = ()
    """Patterns (`embeddings.*`) of parameters and running statistics that stay as they are, to the byte; `backbone` is
    everything but the head."""
    layer_decay: float = 1.0
    """Factor on the learning rate per block from the head down."""
    log_every: int = 10
    """Steps between log lines; the only host syncs of the loop."""
    evaluate_every: int | None = None
    """Steps between evaluations; a tenth of the run by default."""
    save_every: int | None = None
    """Steps between checkpoints; with the evaluations by default."""
    keep: int = 2
    """Checkpoints kept besides the best one."""
    patience: int | None = None
    """Evaluations without improvement after which the run stops."""
    evaluate_split: str = "validation"
    """Split for evaluation during training and for choosing the best checkpoint."""
    evaluate_samples: int | None = None
    """Most samples per evaluation during training, spread over the split; the final one takes all."""
    test_split: str = "test"
    """Split for the final figures; `evaluate_split` where the data has no such split."""
    workers: int = 0
    """Processes that encode samples; can't change the result."""
    timeout: float = 1800.0
    """Seconds that a batch of samples or another rank may take before the run ends with an error."""
    skip_nonfinite: int = 0
    """Steps with a non-finite gradient that may be skipped before the run fails."""
    baselines: Literal["auto", "off"] = "auto"
    """Whether the final figures stand beside those of trivial methods, which are computed after the checkpoint is
    registered."""
    extras: Literal["auto", "off"] = "auto"
    """Whether anything is made after the checkpoint is registered: baselines, and pictures of the final evaluation."""
    extras_timeout: float = 180.0
    """Seconds that a baseline, a picture, a preview or an observer may take; what takes longer is left out, and all that
    is made after the checkpoint is registered takes at most twice as long, and three minutes to be loaded."""

    def __post_init__(self) -> None:
        """Refuse impossible values before anything is allocated."""
        if (self.steps is None) == (self.epochs is None):
            raise ValueError("give either steps or epochs")
        for name in ("steps", "batch_size", "batch_cost", "accumulation", "log_every", "evaluate_every", "save_every"):
            value = getattr(self, name)
            _require(value is None or value >= 1, name, "at least 1", value)
        for name in ("keep", "patience", "evaluate_samples"):
            value = getattr(self, name)
            _require(value is None or value >= 1, name, "at least 1", value)
        _require(
            self.epochs is None or (math.isfinite(self.epochs) and self.epochs > 0), "epochs", "above 0", self.epochs
        )
        _require(0 <= self.seed < 2**62, "seed", "between 0 and 2^62", self.seed)
        _require(self.clip_norm is None or self.clip_norm > 0, "clip_norm", "above 0", self.clip_norm)
        _require(self.ema_decay is None or 0 < self.ema_decay < 1, "ema_decay", "between 0 and 1", self.ema_decay)
        _require(0 < self.layer_decay <= 1, "layer_decay", "above 0 and at most 1", self.layer_decay)
        _require(self.workers >= 0, "workers", "at least 0", self.workers)
        _require(self.skip_nonfinite >= 0, "skip_nonfinite", "at least 0", self.skip_nonfinite)
        for name in ("timeout", "extras_timeout"):
            value = getattr(self, name)
            _require(math.isfinite(value) and value > 0, name, "above 0", value)
        _require(
            self.batch_size % self.accumulation == 0,
            "accumulation",
            f"a divisor of batch_size {self.batch_size}",
            self.accumulation,
        )


def _require(holds: bool, name: str, wanted: str, found: object) -> None:
    if not holds:
        raise ValueError(f"{name} must be {wanted}, found {found}")
