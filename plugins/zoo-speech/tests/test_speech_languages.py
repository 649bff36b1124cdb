"""Languages: one table of codes and names, asked for in either way everywhere."""

from __future__ import annotations

from pathlib import Path

import pytest
from transformers.models.whisper.tokenization_whisper import LANGUAGES, TO_LANGUAGE_CODE
from zoo_speech.datasets.catalog import of_languages
from zoo_speech.datasets.languages import NAMES, are_languages, known_language, language_code, language_name
from zoo_speech.datasets.samples import Recording

from zoo_core import UnknownName, open_zoo


def test_names_are_codes_in_one_table() -> None:
    for code, name in NAMES.items():
        if code not in ("jw", "jv"):  # both Javanese: Whisper's and ISO's
            for written in (code, code.upper(), f"{code}-XX", f"{code}_XX", name, name.upper(), f" {name.lower()} "):
                assert language_code(written, NAMES) == code
    assert language_code("javanese", ["jw"]) == "jw" and language_code("nb", ["no"]) == "no"
    assert language_name("de") == "German" and language_name("tlh") == "tlh"
    assert known_language("Klingon", NAMES) == "" == known_language("German", ["en"]) == known_language("", NAMES)


def test_every_language_and_name_of_whisper_is_known() -> None:
    known = list(LANGUAGES)
    for name, code in TO_LANGUAGE_CODE.items():
        assert language_code(name, known) == code
    for code in known:
        assert language_code(NAMES[code], known) == code


def test_data_sets_are_asked_by_name_too() -> None:
    splits = {"train": [Recording(Path("a"), language=code) for code in ("de", "cs", "en")], "test": []}
    for asked in (["de", "cs"], ["German", "Czech"], ["de-AT", "CZECH"]):
        assert [row.language for row in of_languages(splits, asked, where="x")["train"]] == ["de", "cs"]
    with pytest.raises(UnknownName, match="x: unknown language 'French'"):
        of_languages(splits, ["French"], where="x")


def test_labels_of_the_bundled_identifier_have_names(tmp_path: Path) -> None:
    labels = open_zoo({"ZOO_HOME": str(tmp_path)}).registry.find("wav2vec2_nano.languages").card.labels
    assert len(labels) > 10 and are_languages(labels) and not are_languages(["yes", "no"])
