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
from collections.abc import Iterable, Mapping, Sequence
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

PREPARED: Mapping[str, Mapping[str, str]] = {
    "asterisk-en": {
        "recordings.tar": "ac7353589015f4c5bce197856ddb00cd5a7ead95cf3b7b41ab75ab186359c33c",
        "train.jsonl": "c5e4596532fb815e7f43d58160e9f85db1b24d8bede372a1aef1761f8ab364b0",
        "validation.jsonl": "4294d6cfe2fb6e44e7fcc91e7f0798fb4137b2d6d184d85eb6d901c6d3e75f22",
        "test.jsonl": "7be0daa96b7f3128f8114ce0541b0e982e625166a38d467582bf12ebca35bce9",
    },
    "asterisk-es": {
        "recordings.tar": "e60c67dbecbea4cad2d76cb62e0cad5751e5cb473a6498d19acd41e0babadaf8",
        "train.jsonl": "712e4857593c795ec6632825405ccdef5302452af55dc3d244a8decc8aab4cc0",
        "validation.jsonl": "e1b6533845e6d3573a6589157e3ad3448c19e7aed616d53d6bc7bb545a506615",
        "test.jsonl": "02965e0dafb3bc5cd5312e2a0786dfa13de0d69e05f92a242e578488ef748d27",
    },
    "asterisk-fr": {
        "recordings.tar": "982a5abc412a27e4eb50a300dcd1415191cc7b9197449add49c8c58809458e1d",
        "train.jsonl": "42ea0387638fe5ca35e8c183cfc45ab46ef642e3892918fae15d60496e6f94c3",
        "validation.jsonl": "77b2ad842cbd68db6d4207f69d68a0c06bb34205aa97e0d7e45b5138da07e7aa",
        "test.jsonl": "7208e1eed24ee03a8271aa5cffdbcdb5fa1ccff368314ae257cc554279551b63",
    },
    "asterisk-it": {
        "recordings.tar": "52099cbeb213b431beb5460e8e7fb34570ee66254c628ad2f61f6c3d7143b62d",
        "train.jsonl": "5db15552153e49300eb71d7a152ed797b88890e0f0ba1ef140d4844f983dae8e",
        "validation.jsonl": "7203027a28aae2d3c45d3925ec8a017a7e7a766df2a497193376adb64cf4c475",
        "test.jsonl": "b1467a5b2c49c9f76d36aa6c7d6dc52703b2d10c549e16c26b6718ead07fbc9c",
    },
    "asterisk-ru": {
        "recordings.tar": "aa69b334024a02b1ff01848243e2faa62e2969e8f022962642b2ab002eead0d0",
        "train.jsonl": "48491f9def87aec37dc5195b93876b9b7c0e2518c5f2f4d4d208714231a3cada",
        "validation.jsonl": "49d1388d02e0b42777011568f5fabc74abfce1a51739b4d4dd7d1f5560b3a60c",
        "test.jsonl": "b099ff68f8a4c31fdd0d6fce30050e9f0fc7a89cb96dc36f1b9d5faeb0ab08be",
    },
    "tuxpaint-speech": {
        "recordings.tar": "3b5027573db18a6cbd59d62b4d8a2dbc48d97d12191314a6ebb767f2592b717b",
        "train.jsonl": "c6a968bd8bc6d00fe9ee97b8ac11556ef27a0323184ae630cefb215646cff302",
        "validation.jsonl": "6a41ef53fda31099c372e4c411da146715ef02786082034ee7169f5d0f83b617",
        "test.jsonl": "547bb3ad89c605bcb82ce980288947358073f5af02d893b59f87ec6697006c19",
    },
    "czech": {
        "recordings.tar": "9af103a7003c4f1ae4f0e3c730fa4c866cb347175540bf581d67c4a1bee0e16e",
        "train.jsonl": "66fadbf288bc5f3222800025e988b72c42a6de234be074a6f555d2ca4d370d75",
        "validation.jsonl": "d7b6fe37963fc491c372b12914349773ad9f61cf2e00e91c77f587ee2ed310d2",
        "test.jsonl": "b24721ed1e0b590be360230b8f87a69fb5472fa61f235116bde12f80f41a7905",
    },
    "letters-words": {
        "recordings.tar": "d92132dfd5fae1049a37c82630084ca485748e7325628e6f90b79f318e2783ea",
        "train.jsonl": "b5e4be0fd2e8979737f140fe2bba0b6b6e8c54ca70eb8663691236377a1c24b0",
        "validation.jsonl": "ecf1fd06c2877d70133c3b9bb323dc65a6e83a3dc3aeed62a49834b8f070c408",
        "test.jsonl": "f6d940929f8eec741dec605d54d0cd692b015e4aec469705a08158ff23d374d1",
    },
    "speech-mix": {
        "parts.txt": "cc1872a382e0dd89e6b751947512dda75e3a6863b0692e4ba9fb566fe95d3ee1",
    },
    "spoken-language": {
        "parts.txt": "cc1872a382e0dd89e6b751947512dda75e3a6863b0692e4ba9fb566fe95d3ee1",
    },
    "voices": {
        "parts.txt": "cc1872a382e0dd89e6b751947512dda75e3a6863b0692e4ba9fb566fe95d3ee1",
    },
    "spoken-digits": {
        "parts.txt": "53ce7d15a0cb3f0c44e2a85f901850defea76cb324932617846757a5c9a0a825",
    },
    "spoken-letters": {
        "parts.txt": "264e74f09f90d574abac71561f00043d7acfd857944a09febdfc73964c6047a8",
    },
}
"""sha256 of every prepared file by data set, as the fetch functions below write them."""


def fetch_asterisk_en(fetcher: Fetcher) -> None:
    """English telephone prompts."""
    _fetch_asterisk(fetcher, "en")


def fetch_asterisk_es(fetcher: Fetcher) -> None:
    """Spanish telephone prompts."""
    _fetch_asterisk(fetcher, "es")


def fetch_asterisk_fr(fetcher: Fetcher) -> None:
    """French telephone prompts."""
    _fetch_asterisk(fetcher, "fr")


def fetch_asterisk_it(fetcher: Fetcher) -> None:
    """Italian telephone prompts."""
    _fetch_asterisk(fetcher, "it")


def fetch_asterisk_ru(fetcher: Fetcher) -> None:
    """Russian telephone prompts."""
    _fetch_asterisk(fetcher, "ru")


def fetch_tuxpaint_speech(fetcher: Fetcher) -> None:
    """The Debian package's spoken captions with their texts."""
    name, root = "tuxpaint-speech", "usr/share/tuxpaint/stamps/"
    if _missing(fetcher, name):
        select = [f"{root}*.{ending}" for ending in ("ogg", "wav", "txt")]
        members = fetcher.debian("tuxpaint-stamps-default", select=select)
        _keep(fetcher, name, tuxpaint(_below(members, root, (".ogg", ".wav", ".txt"))))


def fetch_czech(fetcher: Fetcher) -> None:
    """A game's Czech voices from one Debian package, its dialogues from another."""
    name, root = "czech", "usr/share/games/fillets-ng/"
    if _missing(fetcher, name):
        scripts = fetcher.debian("fillets-ng-data", select=[f"{root}script/*dialogs_cs.lua"])
        members = fetcher.debian("fillets-ng-data-cs", select=[f"{root}sound/*/cs/*.ogg"])
        _keep(fetcher, name, fillets(scripts, members))


def fetch_letters_words(fetcher: Fetcher) -> None:
    """Words of one Debian package, letters and syllables of another."""
    if _missing(fetcher, "letters-words"):
        root = "usr/share/ktuberling/sounds/"
        words = fetcher.debian("ktuberling-data", select=[f"{root}*.{ending}" for ending in ("ogg", "opus", "wav")])
        letters = fetcher.debian(
            "klettres-data", select=["usr/share/klettres/*.ogg", "usr/share/klettres/*/sounds.xml"]
        )
        tables = _below(letters, "", (".xml",))
        records = [*ktuberling(words), *klettres(tables, _below(letters, "", (".ogg",)))]
        _keep(fetcher, "letters-words", records)


def fetch_speech_mix(fetcher: Fetcher) -> None:
    """Everything that is put together here."""
    _fetch_parts(fetcher, "speech-mix")


def fetch_spoken_language(fetcher: Fetcher) -> None:
    """The same recordings."""
    _fetch_parts(fetcher, "spoken-language")


def fetch_voices(fetcher: Fetcher) -> None:
    """The same recordings."""
    _fetch_parts(fetcher, "voices")


def fetch_spoken_digits(fetcher: Fetcher) -> None:
    """The data sets that have digits."""
    _fetch_parts(fetcher, "spoken-digits")


def fetch_spoken_letters(fetcher: Fetcher) -> None:
    """The data sets that have letters."""
    _fetch_parts(fetcher, "spoken-letters")


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


def _fetch_asterisk(fetcher: Fetcher, language: str) -> None:
    name, package = f"asterisk-{language}", f"asterisk-core-sounds-{language}"
    if _missing(fetcher, name):
        path = f"usr/share/doc/{package}/core-sounds-{language}.txt.gz"
        listing = gzip.decompress(fetcher.debian(package, select=[path])[path])
        members = fetcher.debian(f"{package}-g722", select=["usr/share/asterisk/sounds/*.g722"])
        _keep(fetcher, name, asterisk(listing, members, language))


def _fetch_parts(fetcher: Fetcher, view: str) -> None:
    """Fetch the data sets that a view is made of, and keep their names, which say that it is here."""
    for part in PARTS[view]:
        FETCH[part](fetcher)
    if _missing(fetcher, view):
        data = "".join(f"{part}\n" for part in PARTS[view]).encode()
        fetcher.keep(f"{view}/parts.txt", data, sha256=PREPARED[view]["parts.txt"])


def _below(members: Members, root: str, endings: tuple[str, ...]) -> dict[str, bytes]:
    return {path.removeprefix(root): data for path, data in members.items() if path.endswith(endings)}


def _missing(fetcher: Fetcher, name: str) -> bool:
    files = {f"{name}/{file}": sha256 for file, sha256 in PREPARED[name].items()}
    if fetcher.has(files):
        fetcher.say(f"{name} is already here and as it should be")
        return False
    return True


def _keep(fetcher: Fetcher, name: str, records: Iterable[Record]) -> None:
    files, counts = prepare(records, name)
    for what, count in sorted(counts.items()):
        if count:
            fetcher.say(f"{name}: {count:,} {what}")
    for file, data in files.items():
        fetcher.keep(f"{name}/{file}", data, sha256=PREPARED[name].get(file, ""))


FETCH = {
    "asterisk-en": fetch_asterisk_en,
    "asterisk-es": fetch_asterisk_es,
    "asterisk-fr": fetch_asterisk_fr,
    "asterisk-it": fetch_asterisk_it,
    "asterisk-ru": fetch_asterisk_ru,
    "tuxpaint-speech": fetch_tuxpaint_speech,
    "czech": fetch_czech,
    "letters-words": fetch_letters_words,
}
"""What fetches each data set that has recordings of its own."""

_ALL = tuple(FETCH)
_SPELLED = tuple(name for name in _ALL if name != "czech")

PARTS: Mapping[str, tuple[str, ...]] = {
    "speech-mix": _ALL,
    "spoken-language": _ALL,
    "voices": _ALL,
    "spoken-digits": tuple(name for name in _SPELLED if name != "letters-words"),
    "spoken-letters": _SPELLED,
}
"""The data sets that the others are views of."""
