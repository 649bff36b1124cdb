"""The speech data sets and readers, as the plugin offers them; free of torch."""

from __future__ import annotations

from zoo_core.contract import DataSpec

_LICENSES = {
    **dict.fromkeys(("asterisk-en", "asterisk-es", "asterisk-fr"), "CC-BY-SA-3.0"),
    **dict.fromkeys(("asterisk-it", "asterisk-ru"), "CC-BY-3.0"),
    "tuxpaint-speech": "GPL-2.0-or-later",
    "czech": "GPL-2.0-only",
    "letters-words": "GPL-2.0-or-later",
}
"""Licence of the recordings of each source."""
_ASTERISK = tuple(name for name in _LICENSES if name.startswith("asterisk-"))


def _of(*sources: str) -> dict[str, str]:
    return {name: _LICENSES[name] for name in sources}


def _joined(licenses: dict[str, str]) -> str:
    """The licences of several sources in one line."""
    return f"{', '.join(sorted(set(licenses.values())))}, by recording"


_EVERY = _of(*_LICENSES)
_DIGITS = _of(*_ASTERISK, "tuxpaint-speech")
_LETTERS = _of(*_ASTERISK, "tuxpaint-speech", "letters-words")


def _prompts(code: str, summary: str, voice: str) -> DataSpec:
    return DataSpec(
        name=f"asterisk-{code}",
        summary=summary,
        target=f"zoo_speech.datasets.catalog:asterisk_{code}",
        config="zoo_speech.configs.data:Subset",
        modality="speech",
        kind="transcribed-speech",
        fetch=f"zoo_speech.datasets.sources:fetch_asterisk_{code}",
        license=_LICENSES[f"asterisk-{code}"],
        source=f"Debian asterisk-core-sounds-{code} and -{code}-g722 1.6.1, recorded by {voice}",
    )


DATA: list[DataSpec] = [
    DataSpec(
        name="speech",
        summary="recordings from your folders, patterns or tables, for pretraining without labels",
        target="zoo_speech.datasets.readers:read_recordings",
        config="zoo_speech.configs.data:Recordings",
        modality="speech",
        kind="speech",
    ),
    DataSpec(
        name="transcribed-speech",
        summary="recordings with texts: tables, .txt files beside them, or LibriSpeech's folders",
        target="zoo_speech.datasets.readers:read_transcribed_recordings",
        config="zoo_speech.configs.data:TranscribedRecordings",
        modality="speech",
        kind="transcribed-speech",
    ),
    DataSpec(
        name="labelled-speech",
        summary="labelled recordings: a folder for each class, or tables",
        target="zoo_speech.datasets.readers:read_labelled_recordings",
        config="zoo_speech.configs.data:LabelledRecordings",
        modality="speech",
        kind="labelled-speech",
    ),
    _prompts("en", "489 English telephone prompts by one woman, 16 minutes, with texts", "Allison Smith"),
    _prompts("es", "424 Spanish telephone prompts by one woman, 21 minutes, with texts", "Allison Smith"),
    _prompts("fr", "450 French telephone prompts by one woman, 15 minutes, with texts", "June Wallack"),
    _prompts("it", "513 Italian telephone prompts by one man, 14 minutes, with texts", "Carlo Flora"),
    _prompts("ru", "503 Russian telephone prompts by one woman, 15 minutes, with texts", "ivrvoice.ru"),
    DataSpec(
        name="tuxpaint-speech",
        summary="5,668 captions of pictures, 2.1 hours, 22 languages, nine of them with 299 or more",
        target="zoo_speech.datasets.catalog:tuxpaint_speech",
        config="zoo_speech.configs.data:Subset",
        modality="speech",
        kind="transcribed-speech",
        fetch="zoo_speech.datasets.sources:fetch_tuxpaint_speech",
        license=_LICENSES["tuxpaint-speech"],
        source="Debian tuxpaint-stamps-default 2022.06.04",
    ),
    DataSpec(
        name="czech",
        summary="1,784 lines of acted Czech dialogue, 1.7 hours, two main roles and two dozen others",
        target="zoo_speech.datasets.catalog:czech",
        config="zoo_speech.configs.data:Subset",
        modality="speech",
        kind="transcribed-speech",
        fetch="zoo_speech.datasets.sources:fetch_czech",
        license=_LICENSES["czech"],
        source="Debian fillets-ng-data and fillets-ng-data-cs 1.0.1, the game Fish Fillets",
    ),
    DataSpec(
        name="letters-words",
        summary="3,654 words, letters and syllables, 1.4 hours, labelled by their 30 languages",
        target="zoo_speech.datasets.catalog:letters_words",
        config="zoo_speech.configs.data:Subset",
        modality="speech",
        kind="labelled-speech",
        fetch="zoo_speech.datasets.sources:fetch_letters_words",
        license=_LICENSES["letters-words"],
        source="Debian ktuberling-data and klettres-data 22.12.3",
    ),
    DataSpec(
        name="speech-mix",
        summary="13,276 recordings in 35 languages, 7 hours, without labels, for pretraining",
        target="zoo_speech.datasets.catalog:speech_mix",
        config="zoo_speech.configs.data:Subset",
        modality="speech",
        kind="speech",
        fetch="zoo_speech.datasets.sources:fetch_speech_mix",
        license=_joined(_EVERY),
        licenses=_EVERY,
        source="training and validation splits of asterisk-*, tuxpaint-speech, czech and letters-words",
    ),
    DataSpec(
        name="spoken-language",
        summary="12,449 words and sentences, 6.9 hours, labelled by their 15 languages",
        target="zoo_speech.datasets.catalog:spoken_language",
        config="zoo_speech.configs.data:SpokenLanguage",
        modality="speech",
        kind="labelled-speech",
        fetch="zoo_speech.datasets.sources:fetch_spoken_language",
        license=_joined(_EVERY),
        licenses=_EVERY,
        source="asterisk-*, tuxpaint-speech, czech and the words of letters-words",
    ),
    DataSpec(
        name="voices",
        summary="2,220 recordings labelled by 53 voices; those tested aren't trained on, but differ by microphone too",
        target="zoo_speech.datasets.speakers:speakers",
        config="zoo_speech.configs.data:Voices",
        modality="speech",
        kind="labelled-speech",
        fetch="zoo_speech.datasets.sources:fetch_voices",
        license=_joined(_EVERY),
        licenses=_EVERY,
        source="those of asterisk-*, tuxpaint-speech, czech and letters-words whose voice is known",
    ),
    DataSpec(
        name="spoken-digits",
        summary="260 single digits in 21 languages, ten classes",
        target="zoo_speech.datasets.catalog:spoken_digits",
        config="zoo_speech.configs.data:Subset",
        modality="speech",
        kind="labelled-speech",
        fetch="zoo_speech.datasets.sources:fetch_spoken_digits",
        license=_joined(_DIGITS),
        licenses=_DIGITS,
        source="asterisk-* and tuxpaint-speech",
    ),
    DataSpec(
        name="spoken-letters",
        summary="519 names of letters in 15 languages, classes from a to z",
        target="zoo_speech.datasets.catalog:spoken_letters",
        config="zoo_speech.configs.data:Subset",
        modality="speech",
        kind="labelled-speech",
        fetch="zoo_speech.datasets.sources:fetch_spoken_letters",
        license=_joined(_LETTERS),
        licenses=_LETTERS,
        source="asterisk-*, tuxpaint-speech and letters-words",
    ),
]
"""Everything that `zoo_data` returns."""
