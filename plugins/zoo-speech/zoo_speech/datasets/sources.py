"""Where the named speech data sets come from, and how their prepared files are made: the same bytes on every machine."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import re
import statistics
import tarfile
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from zoo_core import DataError
from zoo_core.data import Fetcher, split_by_hash
from zoo_speech.audio.audio import read_audio
from zoo_speech.datasets.packages import Members, Record, asterisk, fillets, klettres, ktuberling, tuxpaint

ARCHIVE = "recordings.tar"
"""The recordings of a data set, as their package has them, one after the other."""

VALIDATION, TEST = 0.1, 0.1
"""Shares of the held-out splits."""

QUIET = 0.01
"""A recording that never gets louder than this, full scale being 1, is taken for silence."""

HASTE = 2.0
"""A text with so many times the letters per second that are the language's median isn't the one that is said."""

FEWEST_LETTERS = 10
"""Shorter texts count for nothing there."""


def fetch_asterisk(fetcher: Fetcher, name: str) -> dict[str, bytes]:
    """Telephone prompts of the language that the name ends in: texts of one Debian package, sounds of another."""
    language = name.removeprefix("asterisk-")
    package = f"asterisk-core-sounds-{language}"
    path = f"usr/share/doc/{package}/core-sounds-{language}.txt.gz"
    listing = gzip.decompress(fetcher.debian(package, select=[path])[path])
    members = fetcher.debian(f"{package}-g722", select=["usr/share/asterisk/sounds/*.g722"])
    return _prepared(fetcher, name, asterisk(listing, members, language))


def fetch_tuxpaint_speech(fetcher: Fetcher, name: str) -> dict[str, bytes]:
    """The Debian package's spoken captions with their texts."""
    root = "usr/share/tuxpaint/stamps/"
    select = [f"{root}*.{ending}" for ending in ("ogg", "wav", "txt")]
    members = fetcher.debian("tuxpaint-stamps-default", select=select)
    return _prepared(fetcher, name, tuxpaint(_below(members, root, (".ogg", ".wav", ".txt"))))


def fetch_czech(fetcher: Fetcher, name: str) -> dict[str, bytes]:
    """A game's Czech voices from one Debian package, its dialogues from another."""
    root = "usr/share/games/fillets-ng/"
    scripts = fetcher.debian("fillets-ng-data", select=[f"{root}script/*dialogs_cs.lua"])
    members = fetcher.debian("fillets-ng-data-cs", select=[f"{root}sound/*/cs/*.ogg"])
    return _prepared(fetcher, name, fillets(scripts, members))


def fetch_letters_words(fetcher: Fetcher, name: str) -> dict[str, bytes]:
    """Words of one Debian package, letters and syllables of another."""
    root = "usr/share/ktuberling/sounds/"
    words = fetcher.debian("ktuberling-data", select=[f"{root}*.{ending}" for ending in ("ogg", "opus", "wav")])
    letters = fetcher.debian("klettres-data", select=["usr/share/klettres/*.ogg", "usr/share/klettres/*/sounds.xml"])
    tables = _below(letters, "", (".xml",))
    return _prepared(fetcher, name, [*ktuberling(words), *klettres(tables, _below(letters, "", (".ogg",)))])


class Sound(NamedTuple):
    """A record that has been listened to."""

    record: Record
    key: str
    """sha256 of its samples: equal for copies in files that differ by their comments only."""
    seconds: float


def prepare(records: Iterable[Record], name: str) -> tuple[dict[str, bytes], Counter[str]]:
    """Prepared files of a data set, and how many records were left out or lost their text, by reason.

    Of copies the first by name is kept. Recordings of one language with the same text share a split, so that no sentence
    of the training split is ever tested; the others are spread by the sha256 of their files.
    """
    counts: Counter[str] = Counter()
    kept = plausible(without_copies(_heard(sorted(records), counts), counts), counts)
    if not kept:
        raise DataError(f"{name}: no recordings at the source")
    digests = [hashlib.sha256(group_of(record).encode()).digest() for record in kept]
    archive, starts = pack(kept)
    files = {ARCHIVE: archive}
    for split, places in split_by_hash(digests, VALIDATION, TEST).items():
        files[f"{split}.jsonl"] = b"".join(_row(kept[place], starts[place]) for place in places)
    return files, counts


def without_copies(sounds: Iterable[Sound], counts: Counter[str]) -> list[Sound]:
    """The first of all that sound the same; its text, speaker and label stay only if the others have the same."""
    groups: dict[str, list[Record]] = {}
    firsts: dict[str, Sound] = {}
    for sound in sounds:
        groups.setdefault(sound.key, []).append(sound.record)
        firsts.setdefault(sound.key, sound)
    counts["copies left out"] += sum(len(group) - 1 for group in groups.values())
    found = []
    for key, group in groups.items():
        texts = {gist(record.text) for record in group}
        counts["copies with several texts, none used"] += len(texts) > 1
        first = group[0]
        record = first._replace(
            text=first.text if len(texts) == 1 else "",
            speaker=first.speaker if len({record.speaker for record in group}) == 1 else "",
            label=first.label if len({record.label for record in group}) == 1 else "",
        )
        found.append(firsts[key]._replace(record=record))
    return found


def plausible(sounds: Sequence[Sound], counts: Counter[str]) -> list[Record]:
    """The records; without its text where it is too long to be the one that is said in that time."""
    paces: dict[str, list[float]] = {}
    for sound in sounds:
        if pace := _pace(sound):
            paces.setdefault(sound.record.language, []).append(pace)
    medians = {language: statistics.median(values) for language, values in paces.items()}
    records = []
    for sound in sounds:
        if (pace := _pace(sound)) and pace > HASTE * medians[sound.record.language]:
            counts["texts not used, too long for the sound"] += 1
            records.append(sound.record._replace(text=""))
        else:
            records.append(sound.record)
    return records


def _pace(sound: Sound) -> float:
    """Letters per second; 0 for a text of so few that the pauses around it count for more."""
    letters = len(gist(sound.record.text))
    return letters / sound.seconds if letters >= FEWEST_LETTERS else 0.0


def gist(text: str) -> str:
    """A text less its case and punctuation."""
    return " ".join(re.findall(r"\w+", text.lower()))


def group_of(record: Record) -> str:
    """What records that share a split have in common."""
    if record.text:
        return f"{record.language} {gist(record.text)}"
    return hashlib.sha256(record.data).hexdigest()


def pack(records: Sequence[Record]) -> tuple[bytes, list[int]]:
    """A tar of the recordings, and the place of each one's bytes in it."""
    buffer, starts = io.BytesIO(), []
    with tarfile.TarFile(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for record in records:
            member = tarfile.TarInfo(record.name)
            member.size = len(record.data)
            starts.append(archive.offset + tarfile.BLOCKSIZE)
            archive.addfile(member, io.BytesIO(record.data))
    return buffer.getvalue(), starts


def _heard(records: Iterable[Record], counts: Counter[str]) -> list[Sound]:
    sounds = []
    for record in records:
        try:
            waveform = read_audio(record.data, name=record.name)
        except DataError:
            counts["damaged recordings left out"] += 1
            continue
        peak = float(max(waveform.samples.max(), -waveform.samples.min()))
        if peak < QUIET:
            counts["silent recordings left out"] += 1
            continue
        key = hashlib.sha256(f"{waveform.rate} ".encode() + waveform.samples.tobytes()).hexdigest()
        sounds.append(Sound(record, key, len(waveform.samples) / waveform.rate))
    return sounds


def _row(record: Record, start: int) -> bytes:
    place = {"name": record.name, "start": start, "size": len(record.data)}
    told = {"text": record.text, "speaker": record.speaker, "language": record.language, "label": record.label}
    sha256 = hashlib.sha256(record.data).hexdigest()
    return (json.dumps({**place, "sha256": sha256, **told}, ensure_ascii=False) + "\n").encode()


def _below(members: Members, root: str, endings: tuple[str, ...]) -> dict[str, bytes]:
    return {path.removeprefix(root): data for path, data in members.items() if path.endswith(endings)}


def _prepared(fetcher: Fetcher, name: str, records: Iterable[Record]) -> dict[str, bytes]:
    files, counts = prepare(records, name)
    for what, count in sorted(counts.items()):
        if count:
            fetcher.say(f"{name}: {count:,} {what}")
    return files
