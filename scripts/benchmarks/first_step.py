"""One process from its start to the end of the first training step of a perceptron, by the loop that is named.

Prints the processor time that the process has used by then and leaves at once. The loops that aren't ours import
nothing of the zoo.
"""

from __future__ import annotations

import os
import sys
import time
from typing import Any

FEATURES, CLASSES, BATCH = 32, 4, 32


def main() -> None:
    """Run the loop."""
    import torch
    from torch.optim.optimizer import register_optimizer_step_post_hook

    torch.set_num_threads(1)
    register_optimizer_step_post_hook(_report)
    {
        "zoo": zoo,
        "hand-written": hand_written,
        "accelerate": accelerate,
        "transformers": trainer,
        "lightning": lightning,
    }[sys.argv[1]]()


def _report(*ignored: Any) -> None:
    print(time.process_time(), flush=True)
    os._exit(0)


def zoo() -> None:
    """`train()` on a recipe: plugins discovered, recipe resolved, run folder made."""
    import contenders
    import workloads

    contenders.zoo(workloads.tiny())


def _parts() -> tuple[Any, Any, Any]:
    """Model, optimizer and data."""
    import torch
    from torch import nn

    model = nn.Sequential(nn.Linear(FEATURES, 64), nn.GELU(), nn.Linear(64, CLASSES))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)
    rows = torch.utils.data.TensorDataset(torch.randn(1024, FEATURES), torch.randint(0, CLASSES, (1024,)))
    return model, optimizer, rows


def hand_written() -> None:
    """Nothing but PyTorch."""
    import torch

    model, optimizer, rows = _parts()
    for vectors, labels in torch.utils.data.DataLoader(rows, batch_size=BATCH, shuffle=True):
        torch.nn.functional.cross_entropy(model(vectors), labels).backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()


def accelerate() -> None:
    """accelerate's documented loop."""
    import torch
    from accelerate import Accelerator

    accelerator = Accelerator(cpu=True)
    model, optimizer, rows = _parts()
    loader = torch.utils.data.DataLoader(rows, batch_size=BATCH, shuffle=True)
    model, optimizer, loader = accelerator.prepare(model, optimizer, loader)
    for vectors, labels in loader:
        with accelerator.accumulate(model):
            accelerator.backward(torch.nn.functional.cross_entropy(model(vectors), labels))
            accelerator.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()


def trainer() -> None:
    """Transformers' `Trainer`."""
    import tempfile

    import torch
    from transformers import Trainer, TrainingArguments

    class Ours(Trainer):
        def compute_loss(self, model: Any, inputs: Any, *arguments: Any, **options: Any) -> Any:
            return torch.nn.functional.cross_entropy(model(inputs["vectors"]), inputs["labels"])

    model, optimizer, rows = _parts()
    arguments = TrainingArguments(
        output_dir=tempfile.mkdtemp(), report_to="none", disable_tqdm=True, use_cpu=True, remove_unused_columns=False
    )
    Ours(
        model=model,
        args=arguments,
        train_dataset=rows,
        data_collator=lambda pairs: {
            "vectors": torch.stack([vector for vector, _ in pairs]),
            "labels": torch.stack([label for _, label in pairs]),
        },
        optimizers=(optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1.0)),
    ).train()


def lightning() -> None:
    """Lightning's `Trainer`."""
    import torch
    from lightning.pytorch import LightningModule, Trainer

    model, optimizer, rows = _parts()

    class Ours(LightningModule):  # type: ignore[misc]  # not in the environment that types are checked in
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def training_step(self, batch: Any, number: int) -> Any:
            return torch.nn.functional.cross_entropy(self.model(batch[0]), batch[1])

        def configure_optimizers(self) -> Any:
            return optimizer

    Trainer(
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    ).fit(Ours(), torch.utils.data.DataLoader(rows, batch_size=BATCH, shuffle=True))


if __name__ == "__main__":
    main()
