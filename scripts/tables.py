"""Writes the tables of the README from the records under benchmarks/ and from the catalogue.

scripts/tables            writes them        scripts/tables --check    fails where they are not up to date
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from zoo_core import fs
from zoo_core.catalogue import read_registry

ROOT = Path(__file__).parent.parent
RECORDS = ROOT / "benchmarks" / "claims"


def claims() -> str:
    """One row per record, in the order of the issues a newcomer would raise."""
    return "\n".join(
        [*_HEADER, *_recorded((*NLP, *VISION, *SPEECH, *GAN)), *_loop(), *_pairs(), *_features(), *_start()]
    )


def vision() -> str:
    """The rows of zoo-vision."""
    return "\n".join([*_HEADER, *_recorded(VISION)])


def gan() -> str:
    """The rows of zoo-gan."""
    return "\n".join([*_HEADER, *_recorded(GAN)])


def speech() -> str:
    """The rows of zoo-speech."""
    return "\n".join([*_HEADER, *_recorded(SPEECH), *_features()])


def toys() -> str:
    """A row for each adversarial loss: modes covered and samples near one, on both toys."""
    record = json.loads((RECORDS / "toys.json").read_text())

    def shown(figures: dict[str, Any]) -> str:
        return f"{figures['mean']:.2f} ± {figures['sd']:.2f}"

    rows = ["| loss | 25 Gaussians: covered | near | spiral: covered | near |", "|---|---|---|---|---|"]
    for loss, shapes in record["losses"].items():
        with_ = ", ".join(f"{name} {value:g}" for name, value in record["regularisers"][loss].items())
        cells = [shown(shapes[shape][metric]) for shape in shapes for metric in ("covered", "high_quality")]
        rows.append(f"| `{loss}`{f' with {with_}' if with_ else ''} | {' | '.join(cells)} |")
    return "\n".join(rows)


_HEADER = ("| claim | measured | beside | holds |", "|---|---|---|---|")


def _recorded(names: Iterable[str]) -> Iterator[str]:
    for name in names:
        path = RECORDS / f"{name}.json"
        if path.is_file():
            record = json.loads(path.read_text())
            measured, beside = ROWS[name](record)
            yield f"| {record['claim']} | {measured} | {beside} | {'yes' if record['holds'] else '**no**'} |"


def _loop() -> list[str]:
    """Host time per step, from each machine's record."""
    rows = []
    for path in sorted(RECORDS.parent.glob("loop-*.json")):
        loops = json.loads(path.read_text())["workloads"]["tiny"]["loops"]
        over = {name: figures["over_us"] for name, figures in loops.items()}
        beside = ", ".join(
            f"{name} {value:+.0f} µs" for name, value in over.items() if name not in ("hand-written", "zoo")
        )
        claim = f"the loop: processor time per step of a tiny model over a hand-written loop ({path.stem.removeprefix('loop-')})"
        rows.append(f"| {claim} | {over['zoo']:+.0f} µs | {beside} | {'yes' if over['zoo'] <= 100 else '**no**'} |")
    return rows


def _pairs() -> list[str]:
    """A step of two networks, from each machine's record."""
    rows = []
    for path in sorted(RECORDS.parent.glob("gan-*.json")):
        loops = json.loads(path.read_text())["workloads"]["dcgan"]["loops"]
        lower, median, upper = loops["zoo"]["cpu_over_percent_quartiles"]
        again = loops["hand-written again"]["cpu_over_percent_quartiles"][1]
        step = loops["hand-written"]["cpu_us_median"] / 1000
        claim = f"the loop: processor time of a GAN's step over a hand-written loop ({path.stem.removeprefix('gan-')})"
        shown = f"{median:+.1f} % (quartiles {lower:+.1f}, {upper:+.1f}) of {step:.0f} ms"
        beside = f"the hand-written loop beside itself {again:+.1f} %"
        rows.append(f"| {claim} | {shown} | {beside} | {'yes' if median <= 2 else '**no**'} |")
    return rows


def _features() -> list[str]:
    """Features of recordings, from each machine's record."""
    rows = []
    for path in sorted(RECORDS.parent.glob("features-*.json")):
        loads = json.loads(path.read_text())["workloads"]
        rates = {name: load["contenders"]["zoo"]["cpu_rate_quartiles"] for name, load in loads.items()}
        shown = ", ".join(f"{name} {median:.2f} ({low:.2f}–{high:.2f})" for name, (low, median, high) in rates.items())
        claim = f"features: times the rate of Transformers' extractors ({path.stem.removeprefix('features-')})"
        holds = all(median >= 1 for _, median, _ in rates.values())
        rows.append(f"| {claim} | {shown}; median and quartiles | 1 | {'yes' if holds else '**no**'} |")
    return rows


def _start() -> list[str]:
    """Start-up, from each machine's record."""
    rows = []
    for path in sorted(RECORDS.parent.glob("start-*.json")):
        processes = json.loads(path.read_text())["processes"]
        ours, torch = processes["zoo list"]["cpu_ms_min"], processes["import torch"]["cpu_ms_min"]
        claim = f"names: `zoo list` with every plugin here, processor time ({path.stem.removeprefix('start-')})"
        rows.append(
            f"| {claim} | {ours:.0f} ms | importing torch alone {torch:.0f} ms | {'yes' if ours <= 150 else '**no**'} |"
        )
    return rows


def _pretraining(record: dict[str, Any]) -> tuple[str, str]:
    def shown(kind: str) -> str:
        figures = record["accuracy"][kind]
        return f"{figures['mean']:.3f} ± {figures['sd']:.3f}"

    return (
        f"accuracy {shown('pretrained')}",
        f"{shown('fresh')} from fresh weights; {_rivals(record['runs']['fresh'][0], 'accuracy')}",
    )


def _minilm(record: dict[str, Any]) -> tuple[str, str]:
    tuned = record["finetuned"]
    gap = f"embeddings differ from Transformers' by {record['largest_difference_of_an_embedding']:.0e}"
    return f"accuracy {tuned['metrics']['accuracy']:.3f} (seed {tuned['seed']}); {gap}", _rivals(tuned, "accuracy")


def _tutorial(record: dict[str, Any]) -> tuple[str, str]:
    mean, spread = record["mean"], record["sd"]
    measured = (
        f"accuracy {mean['accuracy']:.3f} ± {spread['accuracy']:.3f}, loss {mean['loss']:.3f} ± {spread['loss']:.3f}"
    )
    keras = ROOT / "benchmarks" / "keras-tutorial.json"
    rivals = _rivals(record["runs"][0], "accuracy")
    if keras.is_file():
        theirs = json.loads(keras.read_text())["summary"]["keras, constant rate"]
        shown = {name: f"{theirs[name]['mean']:.3f} ± {theirs[name]['sd']:.3f}" for name in ("accuracy", "loss")}
        rivals += f"; the same in Keras: accuracy {shown['accuracy']}, loss {shown['loss']}"
    return measured, rivals


def _shakespeare(record: dict[str, Any]) -> tuple[str, str]:
    return f"loss {record['run']['metrics']['loss']:.3f} (seed {record['run']['seed']})", _rivals(record["run"], "loss")


def _translation(record: dict[str, Any]) -> tuple[str, str]:
    metrics = record["run"]["metrics"]
    measured = f"BLEU {metrics['bleu']:.1f}, chrF {metrics['chrf']:.1f} (seed {record['run']['seed']})"
    return measured, f"BLEU: {_rivals(record['run'], 'bleu')}; chrF: {_rivals(record['run'], 'chrf')}"


def _architectures(record: dict[str, Any]) -> tuple[str, str]:
    models = record["models"]
    base = models["vit_base_patch16_224"]
    gap = max(row["largest_difference_of_a_logit"] for row in models.values())
    measured = (
        f"{len(models)} architectures; `vit_base_patch16_224` has {base['ours']:,}; logits differ by {gap:.0e} at most"
    )
    return measured, f"timm {base['timm']:,}, published {base['published']:,}"


def _fashion(record: dict[str, Any]) -> tuple[str, str]:
    run = record["run"]
    minutes = run["training"]["cpu_seconds"] / 60
    wait = f"{record['data_wait']:.1%} of a step spent waiting for data"
    return (
        f"accuracy {run['metrics']['accuracy']:.4f} (seed {run['seed']}) after {minutes:.1f} CPU minutes; {wait}",
        _rivals(run, "accuracy"),
    )


def _real_weights(record: dict[str, Any]) -> tuple[str, str]:
    said = "; ".join(f"{name}: {next(iter(scores))}" for name, scores in record["photographs"].items())
    return (
        f"logits differ from timm's by {record['largest_difference_of_a_logit']:.0e}",
        f"top-1 of photographs: {said}",
    )


def _transfer(record: dict[str, Any]) -> tuple[str, str]:
    def shown(figures: dict[str, float]) -> str:
        return f"{figures['accuracy']:.3f} (macro-F1 {figures['macro_f1']:.3f})"

    rivals = {name: shown(figures) for name, figures in record["rivals"].items()}
    rivals["majority"] = shown(record["finetuned"]["baselines"]["majority"])
    beside = ", ".join(f"{name} {figures}" for name, figures in rivals.items())
    return f"accuracy {shown(record['finetuned']['metrics'])}, seed {record['finetuned']['seed']}", beside


def _exchange(record: dict[str, Any]) -> tuple[str, str]:
    gaps = record["largest_difference_of_a_logit"]
    return f"logits differ by {max(gaps.values()):.0e} at most", "; ".join(gaps)


def _generators(record: dict[str, Any]) -> tuple[str, str]:
    def shown(family: str) -> str:
        scores, minutes = record["metrics"][family], record["cpu_seconds"][family] / 60
        return (
            f"{scores['fid']:.2f} (precision {scores['precision']:.2f}, recall {scores['recall']:.2f}) after {minutes:.1f}"
            " CPU minutes"
        )

    run, within = record["runs"]["dcgan"], record["validation_fid_within_budget"]
    same = f"within {record['budget'] / 60:.1f} of both, on validation pictures, {within['r3gan']:.2f}"
    return (
        f"Fréchet distance {shown('r3gan')}, seed {record['runs']['r3gan']['seed']}; {same}",
        f"DCGAN {shown('dcgan')}, seed {run['seed']}, and {within['dcgan']:.2f}; {_rivals(run, 'fid')}",
    )


def _classes(record: dict[str, Any]) -> tuple[str, str]:
    run = record["run"]
    return (
        f"{run['metrics']['class_accuracy']:.3f} of them (seed {run['seed']}), Fréchet distance {run['metrics']['fid']:.2f}",
        f"share: {_rivals(run, 'class_accuracy')}; distance: {_rivals(run, 'fid')}",
    )


def _emoji_generator(record: dict[str, Any]) -> tuple[str, str]:
    run = record["run"]
    return f"Fréchet distance {run['metrics']['fid']:.1f} (seed {run['seed']})", _rivals(run, "fid")


def _paired_translation(record: dict[str, Any]) -> tuple[str, str]:
    run = record["run"]
    measured = (
        f"L1 {run['metrics']['l1']:.3f}, in features {run['metrics']['feature_distance']:.2f} (seed {run['seed']})"
    )
    return measured, f"L1: {_rivals(run, 'l1')}; in features: {_rivals(run, 'feature_distance')}"


def _projection(record: dict[str, Any]) -> tuple[str, str]:
    def shown(name: str) -> str:
        return "; ".join(f"`{which}` {row[name]['mean']:.3f}" for which, row in record["generators"].items())

    return (
        f"{shown('difference')}; {record['pictures']} pictures",
        f"the best of 256 random latents: {shown('random_difference')}",
    )


def _whisper(record: dict[str, Any]) -> tuple[str, str]:
    def shown(what: str) -> str:
        rates = record["prompts"][what]
        return f"{rates['wer_with_whispers_normaliser']:.2%} of {rates['words']:,} words"

    same = record["recordings_with_the_same_tokens_as_transformers"]
    count = same + record["recordings_with_other_tokens"]
    every = record["prompts"]["all"]
    return (
        f"WER {shown('first 48')} in the first 48, {shown('all')} in all {every['recordings']} ({every['wer']:.2%} where"
        f" numbers stay as they are written); the tokens are Transformers' in {same} of {count}",
        f"{record['published_wer']:.1%} of the same weights through Transformers, first 48",
    )


def _czech(record: dict[str, Any]) -> tuple[str, str]:
    def shown(figures: dict[str, float]) -> str:
        return f"WER {figures['wer']:.3f}, CER {figures['cer']:.3f}"

    run = record["run"]
    minutes = run["training"]["cpu_seconds"] / 60
    rival = run["baselines"]["always the same"]
    return (
        f"{shown(run['metrics'])} (seed {run['seed']}) after {minutes:.0f} CPU minutes",
        f"before: {shown(record['before'])}; always the same transcript: {shown(rival)}",
    )


def _speech_pretraining(record: dict[str, Any]) -> tuple[str, str]:
    def shown(kind: str) -> str:
        return f"{record['cer'][kind]['mean']:.3f} ± {record['cer'][kind]['sd']:.3f}"

    return (
        f"CER {shown('pretrained')}",
        f"{shown('fresh')} from fresh weights; {_rivals(record['runs']['fresh'][0], 'cer')}",
    )


def _classified(record: dict[str, Any]) -> tuple[str, str]:
    def shown(what: str, run: dict[str, Any]) -> str:
        return f"{what} {run['metrics']['accuracy']:.3f} (n = {run['splits']['test']:,})"

    runs = record["runs"]
    found = ", ".join(shown(what, run) for what, run in runs.items())
    rivals = "; ".join(f"{what}: {_rivals(run, 'accuracy')}" for what, run in runs.items())
    return f"accuracy: {found}, seed {next(iter(runs.values()))['seed']}", rivals


def _voices(record: dict[str, Any]) -> tuple[str, str]:
    run = record["run"]
    return f"equal error rate {run['metrics']['eer']:.3f} (seed {run['seed']})", _rivals(run, "eer")


def _decoding(record: dict[str, Any]) -> tuple[str, str]:
    shown = [f"{name}: CER {f['cer']:.3f}, WER {f['wer']:.3f}" for name, f in record["decoding"].items()]
    return "; ".join(shown[1:]), shown[0]


def _loading(record: dict[str, Any]) -> tuple[str, str]:
    shown = ", ".join(f"`{recipe}` {share:.1%}" for recipe, share in record["data_wait"].items())
    return shown, "bar 5 %"


ROWS = {
    "pretraining": _pretraining,
    "minilm": _minilm,
    "tutorial": _tutorial,
    "shakespeare": _shakespeare,
    "translation": _translation,
    "architectures": _architectures,
    "fashion": _fashion,
    "masked_pretraining": _pretraining,
    "real_weights": _real_weights,
    "transfer": _transfer,
    "exchange": _exchange,
    "whisper": _whisper,
    "czech": _czech,
    "speech_pretraining": _speech_pretraining,
    "languages": _classified,
    "telephone_languages": _classified,
    "other_voices": _classified,
    "words": _classified,
    "voices": _voices,
    "decoding": _decoding,
    "loading": _loading,
    "generators": _generators,
    "classes": _classes,
    "emoji_generator": _emoji_generator,
    "paired_translation": _paired_translation,
    "projection": _projection,
}
NLP = ("pretraining", "minilm", "tutorial", "shakespeare", "translation")
VISION = ("architectures", "fashion", "masked_pretraining", "real_weights", "transfer", "exchange")
SPEECH = (
    *("whisper", "czech", "speech_pretraining", "languages", "telephone_languages", "other_voices", "words", "voices"),
    *("decoding", "loading"),
)
GAN = ("generators", "classes", "emoji_generator", "paired_translation", "projection")


def _rivals(run: dict[str, Any], metric: str) -> str:
    found = [f"{rival.replace('_', ' ')} {m[metric]:.3g}" for rival, m in run["baselines"].items() if metric in m]
    return ", ".join(found)


def models() -> str:
    """One row per checkpoint of the catalogue."""
    rows = ["| checkpoint | task | parameters | data, split | figures (baselines) |", "|---|---|---|---|---|"]
    for card in read_registry(ROOT / "registry.yaml"):
        figures = "; ".join(_figure(metric) for metric in card.metrics)
        first = card.metrics[0]
        where = f"{first.data.split('/')[-1]}, {first.split} (n = {first.samples:,}), seed {card.seed}"
        rows.append(f"| `{card.full_name}` | {card.task_name} | {card.parameters:,} | {where} | {figures} |")
    return "\n".join(rows)


def _figure(metric: Any) -> str:
    rivals = ", ".join(f"{name.replace('_', ' ')} {value:.3f}" for name, value in metric.baselines.items())
    return f"{metric.name} {metric.value:.3f}" + (f" ({rivals})" if rivals else "")


def filled(text: str) -> str:
    """The document with every `<!-- table:NAME -->` block filled."""

    def block(match: re.Match[str]) -> str:
        return f"<!-- table:{match[1]} -->\n{TABLES[match[1]]()}\n<!-- end -->"

    return re.sub(r"<!-- table:(\w+) -->\n.*?<!-- end -->", block, text, flags=re.DOTALL)


TABLES = {"claims": claims, "vision": vision, "speech": speech, "gan": gan, "toys": toys, "models": models}


def documents() -> Iterator[Path]:
    """The documents that hold tables."""
    yield from (
        path for path in (ROOT / "README.md", *ROOT.glob("plugins/*/README.md")) if "<!-- table:" in path.read_text()
    )


def main() -> int:
    """Write or check; 1 if a table is out of date."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    stale = 0
    for path in documents():
        before = path.read_text()
        after = filled(before)
        stale += before != after
        if before != after and not check:
            fs.write_file(path, after.encode())
            print(f"wrote {path.relative_to(ROOT)}")
        elif before != after:
            print(f"{path.relative_to(ROOT)} is out of date: run scripts/tables", file=sys.stderr)
    return int(bool(check and stale))


if __name__ == "__main__":
    sys.exit(main())
