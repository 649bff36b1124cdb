"""Settings of the loop, checked before anything is allocated."""

from __future__ import annotations

from typing import Annotated, Literal

from zoo_core.contract.config import (
    Config,
    Interval,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    Seed,
)


class Training(Config):
    """How long and how the loop runs."""

    steps: PositiveInt | None = None
    """Optimizer steps; either this or `epochs`."""
    epochs: PositiveFloat | None = None
    """Passes over the training split; either this or `steps`."""
    batch_size: PositiveInt = 32
    """Samples per optimizer step, over all ranks and micro-batches; the most where `batch_cost` is given."""
    batch_cost: PositiveInt | None = None
    """Most padded units (samples times the longest length) in a global batch; bounds memory where lengths vary.

    Batches of evaluations hold as much as a micro-batch, and a sample that is longer alone.
    """
    accumulation: PositiveInt = 1
    """Micro-batches that a rank splits its share into; saves memory, does not change the result."""
    seed: Seed = 0
    """Seed of everything random in the run."""
    clip_norm: PositiveFloat | None = 1.0
    """Largest gradient norm; larger gradients are scaled down to it."""
    ema_decay: Annotated[float, Interval(gt=0, lt=1)] | None = None
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
    layer_decay: Annotated[float, Interval(gt=0, le=1)] = 1.0
    """Factor on the learning rate per block from the head down."""
    log_every: PositiveInt = 10
    """Steps between log lines; the only host syncs of the loop."""
    evaluate_every: PositiveInt | None = None
    """Steps between evaluations; a tenth of the run by default."""
    save_every: PositiveInt | None = None
    """Steps between checkpoints; with the evaluations by default."""
    keep: PositiveInt = 2
    """Checkpoints kept besides the best one."""
    patience: PositiveInt | None = None
    """Evaluations without improvement after which the run stops."""
    evaluate_split: str = "validation"
    """Split for evaluation during training and for choosing the best checkpoint."""
    evaluate_samples: PositiveInt | None = None
    """Most samples per evaluation during training, spread over the split; the final one takes all."""
    test_split: str = "test"
    """Split for the final figures; `evaluate_split` where the data has no such split."""
    workers: NonNegativeInt = 0
    """Processes that encode samples; can't change the result."""
    timeout: PositiveFloat = 1800.0
    """Seconds that a batch of samples or another rank may take before the run ends with an error."""
    skip_nonfinite: NonNegativeInt = 0
    """Steps with a non-finite gradient that may be skipped before the run fails."""
    baselines: Literal["auto", "off"] = "auto"
    """Whether the final figures stand beside those of trivial methods, which are computed after the checkpoint is
    registered."""
    extras: Literal["auto", "off"] = "auto"
    """Whether anything is made after the checkpoint is registered: baselines, and plots of the final evaluation."""
    extras_timeout: PositiveFloat = 180.0
    """Seconds that a baseline, a plot, a preview or an observer may take; what takes longer is left out, and all that
    is made after the checkpoint is registered takes at most twice as long, and three minutes to be loaded."""

    def check(self) -> None:
        """The run has one length, and every batch the same number of micro-batches."""
        if (self.steps is None) == (self.epochs is None):
            raise ValueError("give either steps or epochs")
        self.require(
            "accumulation", f"a divisor of batch_size {self.batch_size}", self.batch_size % self.accumulation == 0
        )
