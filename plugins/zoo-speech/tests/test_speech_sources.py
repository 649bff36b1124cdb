"""The named data sets: prepared the same everywhere, split without leaks, pinned, and repaired when damaged."""

from __future__ import annotations

import gzip
import hashlib
import importlib
import io
import json
import subprocess
import sys
import tarfile
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from zoo_speech.audio.audio import wav_bytes
from zoo_speech.configs.data import NamedSpeech, SpokenLanguage
from zoo_speech.datasets import catalog as data
from zoo_speech.datasets import sources
from zoo_speech.datasets.packages import Record, asterisk, fillets, klettres, ktuberling, spoken, tuxpaint

from zoo_core import DataError, UnknownName
from zoo_core.data import Fetcher, PreparedFiles, SplitData
from zoo_core.testing import fs


def sound(number: int, seconds: float = 0.5) -> bytes:
    samples = np.zeros(int(seconds * 1000), np.float32)
    samples[0], samples[1] = number / 32768, 0.5
    return wav_bytes(samples, 1000)


def records(count: int, language: str = "en", **told: str) -> list[Record]:
    return [
        Record(f"{language}/{n:03}.wav", sound(n), language, f"word {chr(97 + n // 26)}{chr(97 + n % 26)}", **told)
        for n in range(count)
    ]


def resolve(target: str) -> Any:
    module, _, name = target.partition(":")
    return getattr(importlib.import_module(module), name)


class Shelf:
    """A client that has a package of the files it is given."""

    def __init__(self, packages: Mapping[str, Mapping[str, bytes]]) -> None:
        self.packages = packages
        self.asked: list[str] = []

    def pypi(self, requirement: str, sha256: str, folder: Path) -> None:
        raise AssertionError(requirement)

    def npm(self, package: str, folder: Path) -> None:
        raise AssertionError(package)

    def debian(self, package: str, folder: Path) -> None:
        self.asked.append(package)
        with tarfile.open(folder / "files.tar", "w:") as archive:
            for name, content in self.packages[package].items():
                info = tarfile.TarInfo(name)
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))


def g722(number: int) -> bytes:
    """Half a second that is loud and differs by its number."""
    return hashlib.shake_128(bytes([number % 256])).digest(4000)


NAMES = [
    "one",
    "two",
    "beep",
    "silence/1",
    *(f"digits/{n}" for n in range(10)),
    *(f"letters/{c}" for c in "abcdefghij"),
]


@pytest.fixture
def shelf() -> Shelf:
    listing = "".join(
        f"{name}: {name.replace('/', ' and ')} [note]\n" for name in NAMES if name[-1] not in "0123456789"
    )
    folder = "usr/share/asterisk/sounds/en_US_f_Allison"
    return Shelf(
        {
            "asterisk-core-sounds-en": {
                "usr/share/doc/asterisk-core-sounds-en/core-sounds-en.txt.gz": gzip.compress(f"; x\n{listing}".encode())
            },
            "asterisk-core-sounds-en-g722": {f"{folder}/{name}.g722": g722(n) for n, name in enumerate(NAMES)},
        }
    )


Fetched = tuple[Callable[[], None], Callable[..., SplitData]]


@pytest.fixture
def fetched(tmp_path: Path, shelf: Shelf) -> Fetched:
    """How English prompts are fetched from a small stand-in for the packages, with the digests of what comes out, and read."""
    texts, sounds = shelf.packages.values()
    files, _ = sources.prepare(asterisk(gzip.decompress(next(iter(texts.values()))), sounds, "en"), "x")
    pins = {"asterisk-en": {name: fs.digest_of(content) for name, content in files.items()}}
    fetcher = Fetcher(tmp_path, lambda line: None, client=shelf)

    def prepare() -> None:
        fetcher.prepare("asterisk-en", pins["asterisk-en"], sources.fetch_asterisk)

    def read(**settings: Any) -> SplitData:
        return data.read_transcribed(NamedSpeech(**settings), PreparedFiles.find("asterisk-en", pins, tmp_path))

    prepare()
    return prepare, read


# ---- fetching and reading


def test_a_fetched_data_set_is_read_and_not_fetched_again(fetched: Fetched, shelf: Shelf) -> None:
    prepare, reader = fetched
    read = reader()
    samples = [sample for split in read.splits() for sample in read.samples(split)]
    assert sorted(sample.text for sample in samples) == sorted(
        ["one", "two", *(f"letters and {c}" for c in "abcdefghij")]
    )
    assert {(sample.speaker, sample.language) for sample in samples} == {("en_US_f_Allison", "en")}
    assert all(sample.waveform.rate == 16_000 and len(sample.waveform.samples) > 7_900 for sample in samples)
    assert samples[0].name.startswith("asterisk-en/") and samples[0].name.endswith(".g722")
    assert read.notices == (
        "asterisk-en: 10 recordings left out whose text isn't known or not written as it is spoken",
    )
    fewer = reader(train_samples=2)
    assert len(fewer.samples("train")) == 2 and fewer.digest() == read.digest()
    prepare()
    assert shelf.asked == ["asterisk-core-sounds-en", "asterisk-core-sounds-en-g722"]
    with pytest.raises(UnknownName, match="unknown language 'eo'"):
        reader(languages=("eo",))


def test_listing_the_data_sets_imports_nothing_heavy() -> None:
    heavy = ("torch", "numpy", "soundfile", "av", "torchaudio", "pyarrow")
    code = (
        f"import sys, zoo_speech.specs.data, zoo_speech.configs.data; print([m for m in {heavy} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr


# ---- views


Views = Callable[[str], PreparedFiles]


@pytest.fixture
def parts(tmp_path: Path) -> Views:
    """Two data sets of three languages, the second with words of two of them by other voices."""
    pins = {}
    for name, found in {
        "one": [*records(150), *records(120, "de"), *records(200, "fr")],
        "letters-words": [
            *(Record(f"ktuberling/{r.name}", sound(1000 + n), "de") for n, r in enumerate(records(30, "de"))),
            *(Record(f"ktuberling/{r.name}", sound(2000 + n), "en") for n, r in enumerate(records(40))),
            *(
                Record(f"klettres/{c}{n}.wav", sound(3000 + 30 * n + i), "en", label=c)
                for n in range(9)
                for i, c in enumerate("ab")
            ),
            *(
                Record(f"klettres/{n}-{i}.wav", sound(5000 + 30 * n + i), "en", label=str(n))
                for n in range(2)
                for i in range(9)
            ),
        ],
    }.items():
        shifted = [r._replace(data=sound(10_000 + n)) if name == "one" else r for n, r in enumerate(found)]
        files, _ = sources.prepare(shifted, name)
        (tmp_path / name).mkdir()
        for file, content in files.items():
            (tmp_path / name / file).write_bytes(content)
        pins[name] = {file: fs.digest_of(content) for file, content in files.items()}
    return lambda name: PreparedFiles.find(name, pins, tmp_path)


def names_of(read: SplitData) -> dict[str, set[str]]:
    return {split: {row.name for row in read.samples(split)} for split in read.splits()}


def test_the_mix_has_no_recording_of_any_test_split(parts: Views) -> None:
    mix, language = (
        data.read_mix(NamedSpeech(), parts("mix")),
        data.read_spoken_language(SpokenLanguage(), parts("language")),
    )
    found, tested = names_of(mix), names_of(language)["test"]
    assert set(found) == {"train", "validation"} and not set.union(*found.values()) & tested and tested
    assert len(found["train"]) > 350 and "recordings of the test splits are left out" in mix.notices[0]
    assert all(
        row.language == "fr" for row in data.read_mix(NamedSpeech(languages=("fr",)), parts("mix")).samples("train")
    )


def test_languages_are_told_by_the_same_or_by_other_voices(parts: Views) -> None:
    same = data.read_spoken_language(SpokenLanguage(fewest=80), parts("spoken-language"))
    assert same.labels == ("de", "en", "fr")
    assert not any("klettres" in name for names in names_of(same).values() for name in names)
    few = data.read_spoken_language(SpokenLanguage(fewest=140), parts("spoken-language"))
    assert few.labels == ("en", "fr") and few.notices == ("spoken-language: left out for too few recordings: de",)
    other = data.read_spoken_language(SpokenLanguage(fewest=80, test="voices"), parts("spoken-language"))
    assert other.labels == ("de", "en") and "fr" in other.notices[0]
    found = names_of(other)
    assert len(found["test"]) == 70 and all(name.startswith("letters-words/ktuberling") for name in found["test"])
    assert all(name.startswith("one/") for name in found["train"] | found["validation"])
    assert Counter(sample.label for sample in other.samples("test")) == {"de": 30, "en": 40}


def test_prompts_are_tested_alone_and_never_trained_on(parts: Views, monkeypatch: pytest.MonkeyPatch) -> None:
    # The first data set plays the prompts, of which the other has two languages, one of them in plenty.
    monkeypatch.setattr(data, "_source", lambda row: "asterisk-one" if row.name.startswith("one/") else "ktuberling")
    told = data.read_spoken_language(SpokenLanguage(fewest=20, test="prompts"), parts("spoken-language"))
    found = names_of(told)
    assert told.labels == ("de", "en") and "none by other voices: fr" in told.notices[0]
    assert len(found["test"]) == 150 + 120 and all(name.startswith("one/") for name in found["test"])
    rest = found["train"] | found["validation"]
    assert all(name.startswith("letters-words/") for name in rest) and not found["train"] & found["validation"]
    every = set.union(*names_of(data.read_languages(NamedSpeech(), parts("x"))).values())
    others = {name for name in every if name.startswith("letters-words/")}
    assert rest == others and found["validation"], "nothing of the others is lost"


def test_letters_and_digits_are_told_apart(parts: Views) -> None:
    letters, digits = (data.read_spelled(NamedSpeech(), parts("x"), labels) for labels in ("abcdefgh", "0123456789"))
    assert letters.labels == ("a", "b") and digits.labels == ("0", "1")
    assert all("/klettres/" in name for name in set.union(*names_of(letters).values()))
    words = data.read_languages(NamedSpeech(languages=("de", "en")), parts("x"))
    assert words.labels == ("de", "en") and {sample.label for sample in words.samples("train")} == {"de", "en"}


# ---- preparing


def rows_of(files: Mapping[str, bytes]) -> dict[str, list[dict[str, Any]]]:
    return {split: [json.loads(line) for line in files[f"{split}.jsonl"].splitlines()] for split in data.SPLITS}


def test_the_same_files_come_out_whatever_the_order() -> None:
    found = records(60)
    files, _ = sources.prepare(found, "x")
    assert files == sources.prepare(found[::-1], "x")[0]
    rows = rows_of(files)
    assert all(rows.values()) and sum(map(len, rows.values())) == 60
    with tarfile.open(fileobj=io.BytesIO(files["recordings.tar"])) as archive:
        for row in rows["train"]:
            content = files["recordings.tar"][row["start"] : row["start"] + row["size"]]
            member = archive.extractfile(row["name"])
            assert member and member.read() == content and fs.digest_of(content) == row["sha256"]


def test_copies_are_left_out_and_lose_what_they_disagree_on() -> None:
    chunk = b"LIST" + (12).to_bytes(4, "little") + b"INFOICMT" + bytes(4)
    plain = sound(7)
    tagged = plain[:4] + (len(plain) + 12).to_bytes(4, "little") + plain[8:] + chunk
    found = [
        Record("a.wav", plain, "en", "A dog.", "me", "x"),
        Record("b.wav", tagged, "en", "a dog", "you", "x"),
        Record("c.wav", sound(8), "en", "A cat."),
        Record("d.wav", sound(8), "en", "A cow."),
        Record("e.wav", b"no sound", "en", "Nothing."),
        Record("f.wav", wav_bytes(np.zeros(500, np.float32), 1000), "en", "Silence."),
    ]
    files, counts = sources.prepare(found, "x")
    rows = [row for part in rows_of(files).values() for row in part]
    told = {row["name"]: (row["text"], row["speaker"], row["label"]) for row in rows}
    assert told == {"a.wav": ("A dog.", "", "x"), "c.wav": ("", "", "")}
    assert counts["copies left out"] == 2 and counts["copies with several texts, none used"] == 1
    assert counts["damaged recordings left out"] == 1 == counts["silent recordings left out"]
    with pytest.raises(DataError, match="x: no recordings at the source"):
        sources.prepare(found[4:], "x")


def test_one_sentence_is_in_one_split_only() -> None:
    found = [Record(f"{n}.wav", sound(n), "en", f"The {'abcdefgh'[n % 8] * 9}{'!' * (n % 3)}") for n in range(80)]
    splits = {
        split: {sources.gist(row["text"]) for row in part}
        for split, part in rows_of(sources.prepare(found, "x")[0]).items()
    }
    assert sum(map(len, splits.values())) == 8 == len(set.union(*splits.values()))


def test_texts_that_nobody_could_say_in_that_time_are_not_used() -> None:
    found = [Record(f"{n:02}.wav", sound(n, 1.0), "en", "a sentence of words") for n in range(20)]
    found[3] = found[3]._replace(text="a sentence that is far too long for what was recorded of it")
    found[4] = found[4]._replace(data=sound(4, 0.1), text="I")
    files, counts = sources.prepare(found, "x")
    texts = {row["name"]: row["text"] for part in rows_of(files).values() for row in part}
    assert texts["03.wav"] == "" and texts["04.wav"] == "I" and texts["05.wav"] and len(texts) == 20
    assert counts["texts not used, too long for the sound"] == 1


# ---- packages


@pytest.mark.parametrize(
    ("text", "language", "kept"),
    [
        ("  Press  the key, then ‘hash’… ", "en", "Press the key, then ‘hash’…"),
        ("L'été – «déjà»!", "fr", "L'été – «déjà»!"),
        ("Press 1", "en", ""),
        ("press * to", "en", ""),
        ("A frog (small)", "en", ""),
        ("5 €", "de", ""),
        ("Буква w.", "ru", ""),
        ("Да", "cs", ""),
        ("ചെമ്പരത്തി", "ml", "ചെമ്പരത്തി"),
        ("カエル", "ja", "カエル"),
        ("...", "en", ""),
        ("", "en", ""),
    ],
)
def test_only_texts_written_as_spoken_are_used(text: str, language: str, kept: str) -> None:
    assert spoken(text, language) == kept


def test_prompts_have_their_texts_and_tones_are_left_out() -> None:
    root = "usr/share/asterisk/sounds/it_IT_m_Carlo/"
    listing = (
        "\ufeff; Prompts\ndash: trattino [-]\ndash: another\nbeep: [tono]\ndigits/1: uno\nempty: \nmenu: premere 1\n"
    )
    names = (
        "dash",
        "beep",
        "silence/3",
        "ascending-2tone",
        "confbridge-leave",
        "tt-monkeys",
        "digits/1",
        "menu",
        "odd",
    )
    found = {r.name: r for r in asterisk(listing.encode(), {f"{root}{name}.g722": b"x" for name in names}, "it")}
    told = {name: (record.text, record.label) for name, record in found.items()}
    assert told == {
        "dash.g722": ("trattino", ""),
        "digits/1.g722": ("uno", "1"),
        "menu.g722": ("", ""),
        "odd.g722": ("", ""),
    }
    assert {record.speaker for record in found.values()} == {"it_IT_m_Carlo"}
    assert not list(asterisk(b"is: \n", {f"{root}is.g722": b""}, "ru"))


def test_captions_have_the_text_of_their_language() -> None:
    members = {
        "animals/frog.txt": "A frog.\nfr.utf8=Une grenouille.\npt_BR.utf8=Um sapo.\npt.utf8=Uma rã.\n".encode(),
        "symbols/math/7.txt": b"Seven.\nde.utf8=Sieben.\n",
        **dict.fromkeys(("animals/frog.ogg", "animals/frog_left.ogg"), b"croak"),
        **dict.fromkeys((f"animals/frog_desc{code}" for code in (".ogg", "_fr.ogg", "_pt_BR.wav", "_lt.ogg")), b"x"),
        **dict.fromkeys(("symbols/math/7.ogg", "symbols/math/7_de.ogg", "symbols/math/7_zh_tw.ogg"), b"x"),
        "symbols/alphabets/english/filled/uppercase/K_filled_en_GB.ogg": b"x",
        "symbols/alphabets/german/filled/lowercase/o_with_umlaut_filled.ogg": b"x",
    }
    told = {r.name.rsplit("/")[-1]: (r.language, r.text, r.label) for r in tuxpaint(members)}
    assert told == {
        "frog_desc.ogg": ("en", "A frog.", ""),
        "frog_desc_fr.ogg": ("fr", "Une grenouille.", ""),
        "frog_desc_pt_BR.wav": ("pt", "Um sapo.", ""),
        "frog_desc_lt.ogg": ("lt", "", ""),
        "7.ogg": ("en", "Seven.", "7"),
        "7_de.ogg": ("de", "Sieben.", "7"),
        "7_zh_tw.ogg": ("zh", "", "7"),
        "K_filled_en_GB.ogg": ("en", "", "k"),
    }


def test_dialogues_are_found_by_level_and_name() -> None:
    lua = """
dialogId("let-m-x", "font_small", "What \\"is\\" it?")
dialogStr("Co \\"je\\" to?")

dialogId("n", "", "%1!")
dialogStr("A%1.")
"""
    scripts = {
        "usr/share/games/fillets-ng/script/air/dialogs_cs.lua": lua.encode(),
        "usr/share/games/fillets-ng/script/keys/dialogs_cs.lua": lua.replace("Co", "Kdo").encode(),
        "usr/share/games/fillets-ng/script/share/bore_dialogs_cs.lua": lua.replace("let-m-x", "bored").encode(),
    }
    root = "usr/share/games/fillets-ng/sound/"
    members = dict.fromkeys(
        (f"{root}{path}.ogg" for path in ("air/cs/let-m-x", "keys/cs/let-m-x", "air/cs/n", "air/cs/q")), b"x"
    )
    members[f"{root}share/borejokes/cs/bored.ogg"] = b"x"
    told = {r.name: (r.text, r.speaker) for r in fillets(scripts, members)}
    assert told == {
        "air/let-m-x.ogg": ('Co "je" to?', "small"),
        "keys/let-m-x.ogg": ('Kdo "je" to?', "small"),
        "air/n.ogg": ("", ""),
        "air/q.ogg": ("", ""),
        "share/borejokes/bored.ogg": ('Co "je" to?', "small"),
    }


def test_words_letters_and_syllables_have_their_language() -> None:
    words = dict.fromkeys(
        ("usr/share/ktuberling/sounds/sr@latin/oko.ogg", "usr/share/ktuberling/sounds/fr/nez.wav"), b"x"
    )
    assert [(r.name, r.language, r.text) for r in ktuberling(words)] == [
        ("ktuberling/sr@latin/oko.ogg", "sr", ""),
        ("ktuberling/fr/nez.wav", "fr", ""),
    ]
    lines = (
        'name="Š" file="pt_BR/alpha/s.ogg" ',
        'name="B" file="pt_BR/alpha/b.ogg"',
        'name="BA"   file="pt_BR/syllab/ba.ogg"',
    )
    xml = "".join(f"<sound {line}/>" for line in lines)
    letters = dict.fromkeys(
        (f"usr/share/klettres/pt_BR/{n}.ogg" for n in ("alpha/s", "alpha/b", "syllab/ba", "x")), b"x"
    )
    told = [
        (r.language, r.text, r.label) for r in klettres({"usr/share/klettres/pt_BR/sounds.xml": xml.encode()}, letters)
    ]
    assert told == [("pt", "Š", ""), ("pt", "B", "b"), ("pt", "BA", ""), ("pt", "", "")]
