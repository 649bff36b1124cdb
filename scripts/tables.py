"""Writes the tables of the README from the records under benchmarks/ and from the catalogue.

scripts/tables            writes them        scripts/tables --check    fails where they are not up to date
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import evidence
from record_rows import ROWS

from zoo_core import Metric, open_zoo
from zoo_core.testing import FREE, fs, read_registry, verdicts

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


_HEADER = ("| claim | measured | beside | verdict |", "|---|---|---|---|")


def _recorded(names: Iterable[str]) -> Iterator[str]:
    for name in names:
        path = RECORDS / f"{name}.json"
        if path.is_file():
            record = json.loads(path.read_text())
            yield f"| {record['claim']} | {' | '.join(ROWS[name](record))} |"


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
        word = "at most 100 µs" if over["zoo"] <= 100 else "**more than 100 µs**"
        rows.append(f"| {claim} | {over['zoo']:+.0f} µs | {beside} | {word}; one machine, no interval |")
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
        word = "at most 2 %" if upper <= 2 else "more than 2 %" if lower > 2 else "no difference seen from 2 %"
        rows.append(f"| {claim} | {shown} | {beside} | {word}, by quartiles; one machine |")
    return rows


def _features() -> list[str]:
    """Features of recordings, from each machine's record."""
    rows = []
    for path in sorted(RECORDS.parent.glob("features-*.json")):
        loads = json.loads(path.read_text())["workloads"]
        rates = {name: load["contenders"]["zoo"]["cpu_rate_quartiles"] for name, load in loads.items()}
        shown = ", ".join(f"{name} {median:.2f} ({low:.2f}–{high:.2f})" for name, (low, median, high) in rates.items())
        claim = f"features: times the rate of Transformers' extractors ({path.stem.removeprefix('features-')})"
        slow = [name for name, (low, _, _) in rates.items() if low <= 1]
        word = f"**no faster seen**: {', '.join(slow)}" if slow else "faster in all, by quartiles"
        rows.append(f"| {claim} | {shown}; median and quartiles | 1 | {word}; one machine |")
    return rows


def _start() -> list[str]:
    """Start-up, from each machine's record."""
    rows = []
    for path in sorted(RECORDS.parent.glob("start-*.json")):
        processes = json.loads(path.read_text())["processes"]
        ours, torch = processes["zoo list"]["cpu_ms_min"], processes["import torch"]["cpu_ms_min"]
        claim = f"names: `zoo list` with every plugin here, processor time ({path.stem.removeprefix('start-')})"
        rows.append(
            f"| {claim} | {ours:.0f} ms | importing torch alone {torch:.0f} ms |"
            f" {'at most 150 ms' if ours <= 150 else '**more than 150 ms**'}, the least of all rounds; one machine |"
        )
    return rows


NLP = ("pretraining", "minilm", "tutorial", "shakespeare", "translation")
VISION = ("architectures", "fashion", "masked_pretraining", "real_weights", "transfer", "exchange")
SPEECH = (
    *("whisper", "whisper_windows", "not_speech", "czech", "speech_pretraining"),
    *("languages", "telephone_languages", "other_voices", "words", "voices", "decoding", "loading"),
)
GAN = ("generators", "classes", "emoji_generator", "paired_translation", "projection")


def models() -> str:
    """One row per checkpoint of the catalogue."""
    rows = [
        "| checkpoint | task | parameters | data, split | figures (baselines) | verdict |",
        "|---|---|---|---|---|---|",
    ]
    for card in read_registry(ROOT / "registry.yaml"):
        figures = "; ".join(_figure(metric) for metric in card.metrics)
        first = card.metrics[0]
        where = f"{first.data.split('/')[-1]}, {first.split} (n = {first.samples:,}), seed {card.seed}"
        used = {metric.measured_with for metric in card.metrics if metric.measured_with}
        named = f"; in features of {', '.join(map(evidence.features, used))}" if used else ""
        cells = (card.full_name, card.task_name, f"{card.parameters:,}", where, figures + named, _verdict(card.metrics))
        rows.append(f"| `{cells[0]}` | {' | '.join(cells[1:])} |")
    return "\n".join(rows)


def _figure(metric: Metric) -> str:
    beside = ", ".join(f"{evidence.plain(name)} {value:.3f}" for name, value in metric.baselines.items())
    return f"{metric.name} {metric.value:.3f}{evidence.shown(metric.interval)}" + (f" ({beside})" if beside else "")


def _verdict(metrics: Sequence[Metric]) -> str:
    """What intervals say beside baselines, and distance and recall of images; metrics whose interval isn't known are named."""
    words = []
    for metric in metrics:
        beside = {evidence.plain(name): value for name, value in metric.baselines.items()}
        if metric.interval and beside:
            words.append(f"{metric.name} {verdicts(metric.interval, metric.better, beside)}")
    bare = [metric.name for metric in metrics if metric.baselines and not metric.interval]
    known = {metric.name: metric for metric in metrics}
    if {"fid", "recall"} <= known.keys():
        scores, others = (
            {name: known[name].value for name in ("fid", "recall")},
            {
                other: {name: known[name].baselines[other] for name in ("fid", "recall")}
                for other in known["fid"].baselines
            },
        )
        words = [f"images {evidence.among(scores, others)}, one seed", *words]
    return "; ".join([*words, *([f"no interval of {evidence.listed(bare)}"] if bare else [])])


def filled(text: str) -> str:
    """The document with every `<!-- table:NAME -->` block filled."""

    def block(match: re.Match[str]) -> str:
        return f"<!-- table:{match[1]} -->\n{TABLES[match[1]]()}\n<!-- end -->"

    return re.sub(r"<!-- table:(\w+) -->\n.*?<!-- end -->", block, text, flags=re.DOTALL)


def resume() -> str:
    """The settings that a resume may change, and why."""
    rows = [f"| `{place.partition('.')[2]}` | {reason} |" for place, reason in FREE.items()]
    return "\n".join(["| setting | why no weight depends on it |", "|---|---|", *rows])


def interfaces() -> str:
    """What tasks need of any model, and the tasks that do."""
    host = open_zoo({}).host
    rows = ["| interface | what it needs | tasks |", "|---|---|---|"]
    for interface in host.all("interface"):
        own = interface.spec.name
        tasks = [one.id for one in host.all("task") if one.spec.interface in (own, interface.id)]
        rows.append(f"| `{interface.id}` | {interface.spec.summary} | {', '.join(f'`{task}`' for task in tasks)} |")
    return "\n".join(rows)


def samples() -> str:
    """The types of samples, with the data sets that have them and the tasks that read them."""
    host = open_zoo({}).host
    have: dict[str, list[str]] = {str(one.spec.samples): [] for one in host.all("data") if one.spec.samples}
    read: dict[str, list[str]] = {}
    for one in host.all("data"):
        have.get(str(one.spec.samples), []).append(one.id)
    for task in host.all("task"):
        for samples in task.spec.reads:
            read.setdefault(str(samples), []).append(task.id)
    rows = ["| samples | have them | read no more |", "|---|---|---|"]
    for samples in sorted({*have, *read}):
        cells = (", ".join(f"`{name}`" for name in names.get(samples, [])) for names in (have, read))
        rows.append(f"| {samples} | {' | '.join(cells)} |")
    return "\n".join(rows)


TABLES = {
    "claims": claims, "vision": vision, "speech": speech, "gan": gan, "toys": toys, "models": models, "resume": resume,
    "interfaces": interfaces, "samples": samples,
}  # fmt: skip


def documents() -> Iterator[Path]:
    """The documents that hold tables."""
    yield from (
        path
        for path in (ROOT / "README.md", *ROOT.glob("docs/*.md"), *ROOT.glob("plugins/*/README.md"))
        if "<!-- table:" in path.read_text()
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
