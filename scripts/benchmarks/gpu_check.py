"""Checks on a GPU what the tests can only check on a CPU; where there is none it says so, claims nothing and ends well.

training    a GPT in bfloat16, compiled, learns through `train()`; its tokens per second, and the share of the card's
            peak that they are
host syncs  between log steps the loop never waits for the device (torch's own watch raises if it does)
resume      a run in deterministic mode that is killed by SIGKILL and resumed ends with the bits of an undisturbed one
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import torch
from measure import record
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from zoo_core import Recipe, Zoo, load_recipe, open_zoo, train
from zoo_core.contract import At, SilentReporter, move
from zoo_core.testing import (
    Cursor,
    Hardware,
    PluginHost,
    Run,
    RunFolder,
    StepResult,
    final_digest,
    fs,
    prepare,
    signal_handler,
    state,
    torch_settings,
    training_batches,
)

PEAK_TFLOPS: Mapping[str, float] = {
    "NVIDIA A100-SXM4-40GB": 312,
    "NVIDIA A100-SXM4-80GB": 312,
    "NVIDIA A100-PCIE-40GB": 312,
    "NVIDIA A100 80GB PCIe": 312,
    "NVIDIA H100 80GB HBM3": 989,
    "NVIDIA H100 PCIe": 756,
    "NVIDIA H200": 989,
    "NVIDIA B200": 2250,
    "NVIDIA L4": 121,
    "NVIDIA L40S": 362,
    "NVIDIA GeForce RTX 3090": 71,
    "NVIDIA GeForce RTX 4090": 165,
}
"""Dense bfloat16 peak by the name that the driver reports, from NVIDIA's data sheets; other cards get no MFU."""


@dataclass(frozen=True, kw_only=True)
class Scale:
    """How large the checks are."""

    device: str
    size: str
    """Of the GPT."""
    resumed: str
    """Of the GPT that is killed and resumed: smaller, as it writes many checkpoints."""
    length: int
    batch: int
    steps: int
    characters: int
    vocabulary: int


CARD = Scale(
    device="auto",
    size="small",
    resumed="mini",
    length=1024,
    batch=16,
    steps=100,
    characters=6_000_000,
    vocabulary=16384,
)
REHEARSAL = Scale(
    device="cpu", size="tiny", resumed="tiny", length=64, batch=4, steps=20, characters=100_000, vocabulary=512
)
"""Small enough for a processor: shows that the checks run, and proves nothing about a card."""


def main() -> int:
    """Run the checks; 1 if one of them fails."""
    parser = argparse.ArgumentParser(
        prog="scripts/gpu-check", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--batch", type=int, default=CARD.batch, help="sequences per step (default 16)")
    parser.add_argument("--steps", type=int, default=CARD.steps, help="steps of the training check (default 100)")
    parser.add_argument("--rehearse", action="store_true", help="run the checks small, on the CPU; writes no record")
    parser.add_argument("--resumable", nargs=2, metavar=("RECIPE", "FOLDER"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.resumable:
        return resumable(Path(options.resumable[0]), Path(options.resumable[1]))
    if not torch.cuda.is_available() and not options.rehearse:
        print("no GPU here: nothing was checked and nothing is claimed")
        return 0
    values = vars(CARD) | {"batch": options.batch, "steps": options.steps}
    scale = REHEARSAL if options.rehearse else Scale(**values)
    with tempfile.TemporaryDirectory() as folder:
        text = Path(folder) / "text.txt"
        fs.write_file(text, invented_text(scale.characters).encode())
        checks = {
            "training": training(scale, text, Path(folder)),
            "host_syncs": host_syncs(scale, text, Path(folder)),
            "resume": resume(scale, text, Path(folder)),
        }
    print(json.dumps(checks, indent=1))
    if not options.rehearse:
        card = torch.cuda.get_device_name()
        body = {"card": card, "cuda": torch.version.cuda, "scale": vars(scale), "checks": checks}
        path = record("gpu-" + "-".join(re.findall(r"[a-z0-9]+", card.lower())), body, libraries=("transformers",))
        print(f"written: {path.parent.name}/{path.name}")
    return 0 if all(check["holds"] for check in checks.values()) else 1


def invented_text(characters: int) -> str:
    """Lines of invented words, the frequent ones a hundred thousand times as frequent as the rare ones (Zipf)."""
    dice = random.Random(0)
    syllables = [a + b + c for a in "bcdfghklmnprstvw" for b in "aeiou" for c in ("", "n", "r", "s", "t")]
    words = ["".join(dice.choices(syllables, k=dice.randint(1, 4))) for _ in range(50_000)]
    chosen = dice.choices(words, weights=[1 / rank for rank in range(1, len(words) + 1)], k=characters // 6)
    return "\n".join(" ".join(chosen[start : start + 40]) for start in range(0, len(chosen), 40))


def recipe(scale: Scale, text: Path, **training: Any) -> dict[str, Any]:
    """A GPT on the invented text."""
    return {
        "name": f"gpt2_{scale.size}.gpu_check",
        "model": {"name": f"gpt2_{scale.size}", "max_length": scale.length, "dropout": 0.0, "attention_dropout": 0.0},
        "task": {"name": "text-generation"},
        "data": {"name": "text", "path": str(text), "validation": 0},
        "preprocessor": {"vocab_size": scale.vocabulary, "max_length": scale.length},
        "optimizer": {"name": "adamw", "lr": 6e-4, "weight_decay": 0.1},
        "schedule": {"name": "cosine", "warmup": 0.1},
        "training": {
            "steps": scale.steps,
            "batch_size": scale.batch,
            "log_every": 5,
            "save_every": 1_000_000,
            "device": scale.device,
            "mixed_precision": "bf16",
            **training,
        },
    }


def training(scale: Scale, text: Path, folder: Path) -> dict[str, Any]:
    """A compiled run in bfloat16: does it learn, and how fast."""
    made = recipe(scale, text, compile=True)
    zoo = open_zoo({**os.environ, "ZOO_HOME": str(folder / "home")})
    result = train(load_recipe(made, [], zoo.host), folder=folder / "training", zoo=zoo)
    lines = [json.loads(line) for line in (result.folder / "metrics.jsonl").read_text().splitlines()]
    logged = [line["train"] for line in lines if "train" in line]
    # The first half holds the compilation and the clocks' rise.
    speed = statistics.median(line["units_per_second"] for line in logged[len(logged) // 2 :])
    flops = flops_per_token(load_recipe(made, [], zoo.host), zoo)
    name = torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"
    peak = PEAK_TFLOPS.get(name)
    assert result.card is not None
    return {
        "holds": logged[-1]["loss"] < logged[0]["loss"] - 0.5,
        "loss": [round(logged[0]["loss"], 4), round(logged[-1]["loss"], 4)],
        "parameters": result.card.parameters,
        "tokens_per_step": scale.batch * scale.length,
        "tokens_per_second": round(speed),
        "flops_per_token": round(flops),
        "flops_counted": "forward and backward, attention in full",
        "tflops": round(speed * flops / 1e12, 2),
        "peak_tflops": peak,
        "mfu": round(speed * flops / 1e12 / peak, 4) if peak else None,
        "peak_memory_gib": round(torch.cuda.max_memory_allocated() / 2**30, 2) if torch.cuda.is_available() else None,
    }


def flops_per_token(resolved: Recipe, zoo: Zoo) -> float:
    """Floating-point operations of one sequence's forward and backward pass, by torch's own counter, per token."""
    hardware = Hardware(resolved.training)
    prepared = prepare(resolved, zoo.host, hardware, None, None)
    steps = training_batches(
        prepared.train, prepared.plan, Cursor(0, 0), rank=0, ranks=1, workers=0, pin=hardware.device.type == "cuda"
    )
    batch = {name: tensor[:1] for name, tensor in move(next(steps).micro_batches[0], hardware.device).items()}
    # The counter knows matrix products everywhere, fused attention only on some devices.
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        output = prepared.task.step("train", prepared.task.modules(), batch, At())
        output.loss_sum.backward()  # type: ignore[no-untyped-call]
    return float(counter.get_total_flops()) / float(output.weight)


def host_syncs(scale: Scale, text: Path, folder: Path) -> dict[str, Any]:
    """Runs in which anything between two log steps that waits for the device is an error."""
    bench = PluginHost([EntryPoint("zoo-bench", "bench_plugin", "zoo.plugins")])
    pair = {
        "name": "pair_tiny.gpu_check",
        "model": {"name": "pair_tiny"},
        "task": {"name": "vector-generation"},
        "data": {"name": "vectors"},
        "training": {"steps": 30, "batch_size": 32, "log_every": 5, "save_every": 1_000_000, "device": scale.device},
    }
    zoo = open_zoo({**os.environ, "ZOO_HOME": str(folder / "home")})
    runs = {
        "two networks": load_recipe(pair, [], bench),
        "gpt": load_recipe(recipe(scale, text, steps=30), [], zoo.host),
        "gpt, averaged weights": load_recipe(recipe(scale, text, steps=30, ema_decay=0.9), [], zoo.host),
    }
    if torch.cuda.is_available():  # the watch on a CPU, unlike the one on a GPU, turns compilation off
        runs["gpt, compiled"] = load_recipe(recipe(scale, text, steps=30, compile=True), [], zoo.host)
    found = {}
    for number, (name, resolved) in enumerate(runs.items()):
        host = bench if name == "two networks" else zoo.host
        found[name] = watched_run(resolved, host, folder / f"syncs-{number}")
    caught = watch_catches()
    return {"holds": caught and not any(found.values()), "watch_catches_a_sync": caught, "errors": found}


def watched_run(resolved: Recipe, host: PluginHost, folder: Path) -> str:
    """Run a recipe under the watch from the second log step on; what it raised, or nothing."""
    with torch_settings(resolved.training), signal_handler() as stop:
        hardware = Hardware(resolved.training)
        prepared = prepare(resolved, host, hardware, None, None)
        run = Run(resolved, prepared, hardware, RunFolder(folder), host, SilentReporter(), stop)
        run.begin()
        every, inner, step_of = resolved.training.log_every, run._after_step, run.loop._step

        def watched_step(step: int, done: Any) -> None:
            if step < 2 * every:
                step_of(step, done)
                return
            with watch(hardware.device):
                step_of(step, done)

        def watched_after(moment: StepResult) -> bool:
            if moment.step <= 2 * every or moment.step % every == 0 or moment.step == prepared.steps:
                return inner(moment)
            with watch(hardware.device):
                return inner(moment)

        setattr(run.loop, "_step", watched_step)  # noqa: B010
        setattr(run, "_after_step", watched_after)  # noqa: B010
        try:
            run.work()
        except RuntimeError as error:
            return f"{str(error).splitlines()[0]} ({_place(error)})"
    return ""


def _place(error: BaseException) -> str:
    """Where it was raised, less torch's own frames and this file's."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "/torch/" not in frame.filename]
    frame = [frame for frame in frames if Path(frame.filename) != Path(__file__)][-1]
    return f"{'/'.join(Path(frame.filename).parts[-3:])}:{frame.lineno}"


@contextmanager
def watch(device: torch.device) -> Iterator[None]:
    """Raise `RuntimeError` where the host waits for the device; on a CPU, where it reads a tensor's value."""
    if device.type != "cuda":
        with _NoReading():  # type: ignore[no-untyped-call]
            yield
        return
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


class _NoReading(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """What would wait on a GPU: values read by the host, shapes that depend on values, tensors made of host numbers."""

    WAITING = ("_local_scalar_dense", "equal", "nonzero", "masked_select", "unique", "lift_fresh")

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        name = function.overloadpacket.__name__
        if name.startswith(self.WAITING):
            raise RuntimeError(f"{function} would wait for a GPU")
        return function(*args, **(kwargs or {}))


def watch_catches() -> bool:
    """Whether the watch raises on a read that is certain to wait."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    value = torch.ones((), device=device) * 2
    try:
        with watch(device):
            value.item()
    except RuntimeError:
        return True
    return False


def resume(scale: Scale, text: Path, folder: Path) -> dict[str, Any]:
    """A run that is killed twice and resumed, and one that is not."""
    made = recipe(scale, text, steps=60, save_every=5, log_every=10, deterministic=True, accumulation=2, ema_decay=0.9)
    made["model"] |= {"name": f"gpt2_{scale.resumed}", "dropout": 0.1, "attention_dropout": 0.1}
    plan = folder / "resume.json"
    fs.write_file(plan, json.dumps(made).encode())
    _child(plan, folder / "whole").wait()
    kills, dice = [], random.Random(0)
    for _ in range(2):
        # After a new checkpoint, at no particular point of the steps that follow.
        before, child = _newest(folder / "killed"), _child(plan, folder / "killed")
        while child.poll() is None and _newest(folder / "killed") <= before:
            time.sleep(0.01)
        time.sleep(dice.uniform(0.0, 0.3))
        child.send_signal(signal.SIGKILL)
        kills.append(child.wait() == -signal.SIGKILL)
    ended = _child(plan, folder / "killed").wait()
    digests = [final_digest(folder / name) for name in ("whole", "killed")] if ended == 0 else ["", "unfinished"]
    return {"holds": digests[0] == digests[1] and all(kills), "kills": sum(kills), "sha256": digests}


def _newest(folder: Path) -> int:
    return max(state.steps(folder / "checkpoints"), default=0)


def _child(plan: Path, folder: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, __file__, "--resumable", str(plan), str(folder)])


def resumable(plan: Path, folder: Path) -> int:
    """The run of a child process: begun, or taken up where it was killed."""
    zoo = open_zoo({**os.environ, "ZOO_HOME": str(plan.parent / "home")})
    resolved = load_recipe(json.loads(plan.read_text()), [], zoo.host)
    train(resolved, folder=folder, zoo=zoo, resume=(folder / "recipe.yaml").is_file())
    return 0


if __name__ == "__main__":
    sys.exit(main())
