"""The speech data sets and readers, as the plugin offers them; free of torch."""

from __future__ import annotations

from zoo_core.contract import DataSpec
from zoo_speech.specs.samples import LABELLED_SPEECH, SPEECH, TRANSCRIBED_SPEECH

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


def _files(archive: str, train: str, validation: str, test: str) -> dict[str, str]:
    """What every data set that is fetched consists of, with the sha256 of each."""
    return {"recordings.tar": archive, "train.jsonl": train, "validation.jsonl": validation, "test.jsonl": test}


def _prompts(code: str, summary: str, voice: str, files: dict[str, str]) -> DataSpec:
    return DataSpec(
        name=f"asterisk-{code}",
        summary=summary,
        target="zoo_speech.datasets.catalog:read_transcribed",
        config="zoo_speech.configs.data:NamedSpeech",
        samples=TRANSCRIBED_SPEECH,
        files=files,
        fetch="zoo_speech.datasets.sources:fetch_asterisk",
        license=_LICENSES[f"asterisk-{code}"],
        source=f"Debian asterisk-core-sounds-{code} and -{code}-g722 1.6.1, recorded by {voice}",
    )


DATA: list[DataSpec] = [
    DataSpec(
        name="speech",
        summary="recordings from your folders, patterns or tables, for pretraining without labels",
        target="zoo_speech.datasets.readers:read_recordings",
        config="zoo_speech.configs.data:Recordings",
        samples=SPEECH,
    ),
    DataSpec(
        name="transcribed-speech",
        summary="recordings with texts: tables, .txt files beside them, or LibriSpeech's folders",
        target="zoo_speech.datasets.readers:read_transcribed_recordings",
        config="zoo_speech.configs.data:TranscribedRecordings",
        samples=TRANSCRIBED_SPEECH,
    ),
    DataSpec(
        name="labelled-speech",
        summary="labelled recordings: a folder for each class, or tables",
        target="zoo_speech.datasets.readers:read_labelled_recordings",
        config="zoo_speech.configs.data:LabelledRecordings",
        samples=LABELLED_SPEECH,
    ),
    _prompts(
        "en",
        "489 English telephone prompts by one woman, 16 minutes, with texts",
        "Allison Smith",
        _files(
            "ac7353589015f4c5bce197856ddb00cd5a7ead95cf3b7b41ab75ab186359c33c",
            "c5e4596532fb815e7f43d58160e9f85db1b24d8bede372a1aef1761f8ab364b0",
            "4294d6cfe2fb6e44e7fcc91e7f0798fb4137b2d6d184d85eb6d901c6d3e75f22",
            "7be0daa96b7f3128f8114ce0541b0e982e625166a38d467582bf12ebca35bce9",
        ),
    ),
    _prompts(
        "es",
        "424 Spanish telephone prompts by one woman, 21 minutes, with texts",
        "Allison Smith",
        _files(
            "e60c67dbecbea4cad2d76cb62e0cad5751e5cb473a6498d19acd41e0babadaf8",
            "712e4857593c795ec6632825405ccdef5302452af55dc3d244a8decc8aab4cc0",
            "e1b6533845e6d3573a6589157e3ad3448c19e7aed616d53d6bc7bb545a506615",
            "02965e0dafb3bc5cd5312e2a0786dfa13de0d69e05f92a242e578488ef748d27",
        ),
    ),
    _prompts(
        "fr",
        "450 French telephone prompts by one woman, 15 minutes, with texts",
        "June Wallack",
        _files(
            "982a5abc412a27e4eb50a300dcd1415191cc7b9197449add49c8c58809458e1d",
            "42ea0387638fe5ca35e8c183cfc45ab46ef642e3892918fae15d60496e6f94c3",
            "77b2ad842cbd68db6d4207f69d68a0c06bb34205aa97e0d7e45b5138da07e7aa",
            "7208e1eed24ee03a8271aa5cffdbcdb5fa1ccff368314ae257cc554279551b63",
        ),
    ),
    _prompts(
        "it",
        "513 Italian telephone prompts by one man, 14 minutes, with texts",
        "Carlo Flora",
        _files(
            "52099cbeb213b431beb5460e8e7fb34570ee66254c628ad2f61f6c3d7143b62d",
            "5db15552153e49300eb71d7a152ed797b88890e0f0ba1ef140d4844f983dae8e",
            "7203027a28aae2d3c45d3925ec8a017a7e7a766df2a497193376adb64cf4c475",
            "b1467a5b2c49c9f76d36aa6c7d6dc52703b2d10c549e16c26b6718ead07fbc9c",
        ),
    ),
    _prompts(
        "ru",
        "503 Russian telephone prompts by one woman, 15 minutes, with texts",
        "ivrvoice.ru",
        _files(
            "aa69b334024a02b1ff01848243e2faa62e2969e8f022962642b2ab002eead0d0",
            "48491f9def87aec37dc5195b93876b9b7c0e2518c5f2f4d4d208714231a3cada",
            "49d1388d02e0b42777011568f5fabc74abfce1a51739b4d4dd7d1f5560b3a60c",
            "b099ff68f8a4c31fdd0d6fce30050e9f0fc7a89cb96dc36f1b9d5faeb0ab08be",
        ),
    ),
    DataSpec(
        name="tuxpaint-speech",
        summary="5,668 captions of images, 2.1 hours, 22 languages, nine of them with 299 or more",
        target="zoo_speech.datasets.catalog:read_transcribed",
        config="zoo_speech.configs.data:NamedSpeech",
        samples=TRANSCRIBED_SPEECH,
        files=_files(
            "3b5027573db18a6cbd59d62b4d8a2dbc48d97d12191314a6ebb767f2592b717b",
            "c6a968bd8bc6d00fe9ee97b8ac11556ef27a0323184ae630cefb215646cff302",
            "6a41ef53fda31099c372e4c411da146715ef02786082034ee7169f5d0f83b617",
            "547bb3ad89c605bcb82ce980288947358073f5af02d893b59f87ec6697006c19",
        ),
        fetch="zoo_speech.datasets.sources:fetch_tuxpaint_speech",
        license=_LICENSES["tuxpaint-speech"],
        source="Debian tuxpaint-stamps-default 2022.06.04",
    ),
    DataSpec(
        name="czech",
        summary="1,784 lines of acted Czech dialogue, 1.7 hours, two main roles and two dozen others",
        target="zoo_speech.datasets.catalog:read_transcribed",
        config="zoo_speech.configs.data:NamedSpeech",
        samples=TRANSCRIBED_SPEECH,
        files=_files(
            "9af103a7003c4f1ae4f0e3c730fa4c866cb347175540bf581d67c4a1bee0e16e",
            "66fadbf288bc5f3222800025e988b72c42a6de234be074a6f555d2ca4d370d75",
            "d7b6fe37963fc491c372b12914349773ad9f61cf2e00e91c77f587ee2ed310d2",
            "b24721ed1e0b590be360230b8f87a69fb5472fa61f235116bde12f80f41a7905",
        ),
        fetch="zoo_speech.datasets.sources:fetch_czech",
        license=_LICENSES["czech"],
        source="Debian fillets-ng-data and fillets-ng-data-cs 1.0.1, the game Fish Fillets",
    ),
    DataSpec(
        name="letters-words",
        summary="3,654 words, letters and syllables, 1.4 hours, labelled by their 30 languages",
        target="zoo_speech.datasets.catalog:read_languages",
        config="zoo_speech.configs.data:NamedSpeech",
        samples=LABELLED_SPEECH,
        files=_files(
            "d92132dfd5fae1049a37c82630084ca485748e7325628e6f90b79f318e2783ea",
            "b5e4be0fd2e8979737f140fe2bba0b6b6e8c54ca70eb8663691236377a1c24b0",
            "ecf1fd06c2877d70133c3b9bb323dc65a6e83a3dc3aeed62a49834b8f070c408",
            "f6d940929f8eec741dec605d54d0cd692b015e4aec469705a08158ff23d374d1",
        ),
        fetch="zoo_speech.datasets.sources:fetch_letters_words",
        license=_LICENSES["letters-words"],
        source="Debian ktuberling-data and klettres-data 22.12.3",
    ),
    DataSpec(
        name="speech-mix",
        summary="13,276 recordings in 35 languages, 7 hours, without labels, for pretraining",
        target="zoo_speech.datasets.catalog:read_mix",
        config="zoo_speech.configs.data:NamedSpeech",
        samples=SPEECH,
        parts=tuple(_EVERY),
        license=_joined(_EVERY),
        licenses=_EVERY,
        source="training and validation splits of asterisk-*, tuxpaint-speech, czech and letters-words",
    ),
    DataSpec(
        name="spoken-language",
        summary="12,449 words and sentences, 6.9 hours, labelled by their 15 languages",
        target="zoo_speech.datasets.catalog:read_spoken_language",
        config="zoo_speech.configs.data:SpokenLanguage",
        samples=LABELLED_SPEECH,
        parts=tuple(_EVERY),
        license=_joined(_EVERY),
        licenses=_EVERY,
        source="asterisk-*, tuxpaint-speech, czech and the words of letters-words",
    ),
    DataSpec(
        name="voices",
        summary="2,220 recordings labelled by 53 voices; those tested aren't trained on, but differ by microphone too",
        target="zoo_speech.datasets.speakers:read_speakers",
        config="zoo_speech.configs.data:Voices",
        samples=LABELLED_SPEECH,
        parts=tuple(_EVERY),
        license=_joined(_EVERY),
        licenses=_EVERY,
        source="those of asterisk-*, tuxpaint-speech, czech and letters-words whose voice is known",
    ),
    DataSpec(
        name="spoken-digits",
        summary="260 single digits in 21 languages, ten classes",
        target="zoo_speech.datasets.catalog:read_spelled",
        config="zoo_speech.configs.data:NamedSpeech",
        samples=LABELLED_SPEECH,
        arguments={"labels": "0123456789"},
        parts=tuple(_DIGITS),
        license=_joined(_DIGITS),
        licenses=_DIGITS,
        source="asterisk-* and tuxpaint-speech",
    ),
    DataSpec(
        name="spoken-letters",
        summary="519 names of letters in 15 languages, classes from a to z",
        target="zoo_speech.datasets.catalog:read_spelled",
        config="zoo_speech.configs.data:NamedSpeech",
        samples=LABELLED_SPEECH,
        arguments={"labels": "abcdefghijklmnopqrstuvwxyz"},
        parts=tuple(_LETTERS),
        license=_joined(_LETTERS),
        licenses=_LETTERS,
        source="asterisk-*, tuxpaint-speech and letters-words",
    ),
]
"""Everything that `zoo_data` returns."""
