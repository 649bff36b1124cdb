"""The row of each record in the tables of claims: what was measured, what stands beside it, and the verdict that it bears."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from evidence import (
    NO_INTERVAL,
    among,
    beside_pairs,
    beside_seeds,
    beside_share,
    features,
    figures_of,
    order,
    over_seeds,
    share,
    shown,
)  # fmt: skip

ROOT = Path(__file__).parent.parent
WINDOW_BAR = 0.05
"""How much higher the word error rate of short windows may be."""

Row = tuple[str, str, str]


def pretraining(record: dict[str, Any], metric: str = "accuracy", better: Any = "max") -> Row:
    """Seeds of pretrained weights beside as many of fresh ones."""
    ours, fresh = (record[metric][kind] for kind in ("pretrained", "fresh"))
    name = metric.upper() if metric == "cer" else metric
    baselines = figures_of(record["runs"]["pretrained"], metric)
    besides = f"{fresh['mean']:.3f}{shown(over_seeds(fresh['seeds']))} from fresh weights"
    return (
        f"{name} {ours['mean']:.3f}{shown(over_seeds(ours['seeds']))} over {len(ours['seeds'])} seeds",
        f"{besides}; {_baselines(record['runs']['pretrained'][0], metric)}",
        beside_seeds(ours["seeds"], {"fresh weights": fresh["seeds"], **baselines}, better),
    )


def speech_pretraining(record: dict[str, Any]) -> Row:
    """The same by character errors."""
    return pretraining(record, "cer", "min")


def minilm(record: dict[str, Any]) -> Row:
    """A package's weights, fine-tuned."""
    tuned = record["finetuned"]
    gap = f"embeddings differ from Transformers' by {record['largest_difference_of_an_embedding']:.0e}"
    return f"{_accuracy(tuned)} (seed {tuned['seed']}); {gap}", _baselines(tuned, "accuracy"), _share_verdict(tuned)


def tutorial(record: dict[str, Any]) -> Row:
    """Three seeds beside the same number in Keras."""
    runs = record["runs"]
    theirs = json.loads((ROOT / "benchmarks" / "keras-tutorial.json").read_text())["runs"]["keras, constant rate"]
    ours, keras = (
        {name: [_metric(run, name) for run in some] for name in ("accuracy", "loss")} for some in (runs, theirs)
    )

    def written(figures: Mapping[str, list[float]]) -> str:
        return ", ".join(
            f"{name} {sum(values) / len(values):.3f}{shown(over_seeds(values))}" for name, values in figures.items()
        )

    losses = beside_seeds(ours["loss"], {"Keras": keras["loss"]}, "min")
    accuracies = beside_seeds(ours["accuracy"], {"Keras": keras["accuracy"], **figures_of(runs, "accuracy")}, "max")
    return (
        written(ours),
        f"{_baselines(runs[0], 'accuracy')}; the same in Keras: {written(keras)}",
        f"accuracy: {accuracies}; loss: {losses}",
    )


def shakespeare(record: dict[str, Any]) -> Row:
    """A language model's loss."""
    run = record["run"]
    return (
        f"loss {run['metrics']['loss']:.3f} (seed {run['seed']})",
        _baselines(run, "loss"),
        f"loss {_order(run, 'loss')}; {NO_INTERVAL}",
    )


def translation(record: dict[str, Any]) -> Row:
    """Both scores of a translator."""
    run, metrics = record["run"], record["run"]["metrics"]
    return (
        f"BLEU {metrics['bleu']:.1f}, chrF {metrics['chrf']:.1f} (seed {run['seed']})",
        f"BLEU: {_baselines(run, 'bleu')}; chrF: {_baselines(run, 'chrf')}",
        f"BLEU {_order(run, 'bleu')}; chrF {_order(run, 'chrf')}; {NO_INTERVAL}",
    )


def architectures(record: dict[str, Any]) -> Row:
    """Parameters and logits beside timm's."""
    models = record["models"]
    base = models["vit_base_patch16_224"]
    gap = max(row["largest_difference_of_a_logit"] for row in models.values())
    same = all(row["ours"] == row["timm"] == row["published"] for row in models.values())
    return (
        f"{len(models)} architectures; `vit_base_patch16_224` has {base['ours']:,}; logits differ by {gap:.0e} at most",
        f"timm {base['timm']:,}, published {base['published']:,}",
        f"parameters {'equal' if same else '**differ**'}; {_equal(gap)}",
    )


def fashion(record: dict[str, Any]) -> Row:
    """Fashion-MNIST within minutes."""
    run = record["run"]
    minutes = run["training"]["cpu_seconds"] / 60
    wait = f"{record['data_wait']:.1%} of a step spent waiting for data"
    return (
        f"{_accuracy(run)} (seed {run['seed']}) after {minutes:.1f} CPU minutes; {wait}",
        _baselines(run, "accuracy"),
        _share_verdict(run),
    )


def real_weights(record: dict[str, Any]) -> Row:
    """A package's weights as they are."""
    said = "; ".join(f"{name}: {next(iter(scores))}" for name, scores in record["photographs"].items())
    gap = record["largest_difference_of_a_logit"]
    return f"logits differ from timm's by {gap:.0e}", f"top-1 of photographs: {said}", _equal(gap)


def transfer(record: dict[str, Any]) -> Row:
    """Fine-tuning beside training from scratch."""
    run = record["finetuned"]
    others = {**record["baselines"], "majority": run["baselines"]["majority"]}
    beside = ", ".join(f"{name} {m['accuracy']:.3f} (macro-F1 {m['macro_f1']:.3f})" for name, m in others.items())
    accuracies = {name: figures["accuracy"] for name, figures in others.items()}
    return (
        f"{_accuracy(run)} (macro-F1 {run['metrics']['macro_f1']:.3f}), seed {run['seed']}",
        beside,
        beside_share(run["metrics"]["accuracy"], run["splits"]["test"], accuracies),
    )


def exchange(record: dict[str, Any]) -> Row:
    """Exported folders in other libraries."""
    gaps = record["largest_difference_of_a_logit"]
    return f"logits differ by {max(gaps.values()):.0e} at most", "; ".join(gaps), _equal(max(gaps.values()))


def generators(record: dict[str, Any]) -> Row:
    """R3GAN beside DCGAN."""

    def written(family: str) -> str:
        scores, minutes = record["metrics"][family], record["cpu_seconds"][family] / 60
        quality = f"precision {scores['precision']:.2f}, recall {scores['recall']:.2f}"
        return f"{scores['fid']:.2f} ({quality}) after {minutes:.1f} CPU minutes"

    runs, within = record["runs"], record["validation_fid_within_budget"]
    same = f"within {record['budget'] / 60:.1f} of both, on validation images, {within['r3gan']:.2f}"
    ours, theirs = record["metrics"]["r3gan"], record["metrics"]["dcgan"]
    return (
        f"{_distance(runs['r3gan'])} {written('r3gan')}, seed {runs['r3gan']['seed']}; {same}",
        f"DCGAN {written('dcgan')}, seed {runs['dcgan']['seed']}, and {within['dcgan']:.2f}; {_baselines(runs['dcgan'], 'fid')}",
        f"{among(ours, {'DCGAN': theirs})}; one seed each, no interval",
    )


def classes(record: dict[str, Any]) -> Row:
    """Clothes of the class that was asked for; one network tells the class and measures the distance."""
    run = record["run"]
    metrics, n = run["metrics"], run["splits"]["test"]
    right = {name: figures["class_accuracy"] for name, figures in run["baselines"].items()}
    return (
        f"{metrics['class_accuracy']:.3f}{shown(share(metrics['class_accuracy'], n))} of them (seed {run['seed']});"
        f" {_distance(run)} {metrics['fid']:.2f}, recall {metrics['recall']:.3f}",
        f"share: {_baselines(run, 'class_accuracy')}; distance: {_baselines(run, 'fid')}; recall: {_baselines(run, 'recall')}",
        f"share {beside_share(metrics['class_accuracy'], n, right)}; images {_among(run)};"
        " one network judges all of it, so this is one finding; one seed",
    )


def emoji_generator(record: dict[str, Any]) -> Row:
    """A small set."""
    run = record["run"]
    measured = (
        f"{_distance(run)} {run['metrics']['fid']:.1f}, recall {run['metrics']['recall']:.2f} (seed {run['seed']})"
    )
    return measured, _baselines(run, "fid"), f"{_among(run)}; {NO_INTERVAL}"


def paired_translation(record: dict[str, Any]) -> Row:
    """Outlines to colours."""
    run = record["run"]
    l1, far = run["metrics"]["l1"], run["metrics"]["feature_distance"]
    return (
        f"L1 {l1:.3f}, in features of {features(run['measured_with']['feature_distance'])} {far:.2f} (seed {run['seed']})",
        f"L1: {_baselines(run, 'l1')}; in features: {_baselines(run, 'feature_distance')}",
        f"L1 {_order(run, 'l1')}; in features {_order(run, 'feature_distance')}; {NO_INTERVAL}",
    )


def projection(record: dict[str, Any]) -> Row:
    """Images found again among what a generator makes."""

    def written(name: str) -> str:
        return "; ".join(f"`{which}` {row[name]['mean']:.3f}" for which, row in record["generators"].items())

    found = {
        which: beside_pairs(row["difference"]["seeds"], row["random_difference"]["seeds"], "min")
        for which, row in record["generators"].items()
    }
    return (
        f"{written('difference')}; {record['images']} images",
        f"the best of 256 random latents: {written('random_difference')}",
        "; ".join(f"`{which}` {word}" for which, word in found.items()) + f", image by image (n = {record['images']})",
    )


def whisper(record: dict[str, Any]) -> Row:
    """Published weights beside the library that published figures come from."""

    def written(what: str) -> str:
        rates = record["prompts"][what]
        return f"{rates['wer_with_whispers_normaliser']:.2%} of {rates['words']:,} words"

    same, other = record["recordings_with_the_same_tokens_as_transformers"], record["recordings_with_other_tokens"]
    every = record["prompts"]["all"]
    return (
        f"WER {written('first 48')} in the first 48, {written('all')} in all {every['recordings']} ({every['wer']:.2%} where"
        f" numbers stay as they are written); the tokens are Transformers' in {same} of {same + other}",
        f"{record['published_wer']:.1%} of the same weights through Transformers, first 48",
        "the same tokens as Transformers in all" if not other else f"**other tokens in {other}**",
    )


def whisper_windows(record: dict[str, Any]) -> Row:
    """Short windows beside the model's own."""
    (own, long), (short, error) = record["wer"].items()
    bar = f"{WINDOW_BAR:g} above {own}"
    empty = sum(record["segments_without_length"].values())
    return (
        f"WER {error:.3f} in windows of {short}, {len(record['recordings'])} recordings; {empty} segments without length",
        f"{long:.3f} in windows of {own}",
        f"{'within' if error <= long + WINDOW_BAR else '**more than**'} {bar}; no interval",
    )


def not_speech(record: dict[str, Any]) -> Row:
    """Words where nobody speaks."""
    words = record["words"]
    written = ", ".join(f"{sound} {count}" for sound, count in words.items())
    most = max(words.values())
    return f"words: {written}", "nobody speaks: 0", f"{most} at most; one recording each, no interval"


def czech(record: dict[str, Any]) -> Row:
    """An English recogniser fine-tuned."""

    def written(figures: Mapping[str, float]) -> str:
        return f"WER {figures['wer']:.3f}, CER {figures['cer']:.3f}"

    run = record["run"]
    minutes, always = run["training"]["cpu_seconds"] / 60, run["baselines"]["always the same"]
    others = {"before": record["before"], "always the same": always}
    orders = [
        f"{name.upper()} {order(run['metrics'][name], {which: m[name] for which, m in others.items()})}"
        for name in ("wer", "cer")
    ]
    return (
        f"{written(run['metrics'])} (seed {run['seed']}) after {minutes:.0f} CPU minutes",
        f"before: {written(record['before'])}; always the same transcript: {written(always)}",
        f"{'; '.join(orders)}; {NO_INTERVAL}",
    )


def classified(record: dict[str, Any]) -> Row:
    """Accuracies of classifiers of speech."""
    runs = record["runs"]
    found = ", ".join(f"{what} {_accuracy(run, '')} (n = {run['splits']['test']:,})" for what, run in runs.items())
    baselines = "; ".join(f"{what}: {_baselines(run, 'accuracy')}" for what, run in runs.items())
    named = len(runs) > 1
    found_out = "; ".join((f"{what}: " if named else "") + _share_verdict(run) for what, run in runs.items())
    return f"accuracy: {found}, seed {next(iter(runs.values()))['seed']}", baselines, found_out


def voices(record: dict[str, Any]) -> Row:
    """Pairs of recordings of one voice or of two."""
    run = record["run"]
    return (
        f"equal error rate {run['metrics']['eer']:.3f}, least cost {run['metrics']['min_dcf']:.3f} (seed {run['seed']})",
        f"rate: {_baselines(run, 'eer')}; cost: {_baselines(run, 'min_dcf')}",
        f"rate {_order(run, 'eer')}; cost {_order(run, 'min_dcf')}; {NO_INTERVAL}",
    )


def decoding(record: dict[str, Any]) -> Row:
    """Ways to read one encoder."""
    (plain, least), *others = record["decoding"].items()
    written = [f"{name}: CER {f['cer']:.3f}, WER {f['wer']:.3f}" for name, f in record["decoding"].items()]
    words = [
        f"{metric.upper()} {'below' if all(f[metric] < least[metric] for _, f in others) else '**not all below**'}"
        for metric in ("cer", "wer")
    ]
    return "; ".join(written[1:]), written[0], f"{', '.join(words)} the {plain}'s; one model, {NO_INTERVAL}"


def loading(record: dict[str, Any]) -> Row:
    """Waiting for recordings."""
    waits = record["data_wait"]
    below = max(waits.values()) <= 0.05
    written = ", ".join(f"`{recipe}` {waited:.1%}" for recipe, waited in waits.items())
    return written, "bar 5 %", f"{'below' if below else '**above**'} the bar; one run each"


ROWS: Mapping[str, Callable[[dict[str, Any]], Row]] = {
    **{row.__name__: row for row in (
        pretraining, minilm, tutorial, shakespeare, translation, architectures, fashion, real_weights, transfer,
        exchange, whisper, whisper_windows, not_speech, czech,
        speech_pretraining, voices, decoding, loading, generators, classes, emoji_generator,
        paired_translation, projection,
    )},
    "masked_pretraining": pretraining,
    **dict.fromkeys(("languages", "telephone_languages", "other_voices", "words"), classified),
}  # fmt: skip


def _baselines(run: Mapping[str, Any], metric: str) -> str:
    found = [f"{name.replace('_', ' ')} {m[metric]:.3g}" for name, m in run["baselines"].items() if metric in m]
    return ", ".join(found)


def _metric(run: Mapping[str, Any], name: str) -> float:
    return float(run.get("metrics", run)[name])


def _order(run: Mapping[str, Any], metric: str) -> str:
    return order(run["metrics"][metric], {name: m[metric] for name, m in run["baselines"].items() if metric in m})


def _among(run: Mapping[str, Any]) -> str:
    return among(run["metrics"], run["baselines"])


def _distance(run: Mapping[str, Any]) -> str:
    return f"Fréchet distance in features of {features(run.get('measured_with', {}).get('fid', ''))}"


def _accuracy(run: Mapping[str, Any], name: str = "accuracy ") -> str:
    value = run["metrics"]["accuracy"]
    return f"{name}{value:.3f}{shown(share(value, run['splits']['test']))}"


def _share_verdict(run: Mapping[str, Any]) -> str:
    baselines = {name: m["accuracy"] for name, m in run["baselines"].items() if "accuracy" in m}
    return beside_share(run["metrics"]["accuracy"], run["splits"]["test"], baselines)


def _equal(gap: float) -> str:
    return "logits equal" if gap == 0 else f"logits within {gap:.0e}"
