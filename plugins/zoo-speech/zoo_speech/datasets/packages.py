"""What the packages hold: recordings with what is said in them, by whom and in which language, where they say so."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import NamedTuple

Members = Mapping[str, bytes]
"""Files of a package by path."""


class Record(NamedTuple):
    """A recording on its way into a prepared file."""

    name: str
    """Path below the data set; its ending is that of the file."""
    data: bytes
    """The file, as the package has it."""
    language: str
    """ISO 639 code."""
    text: str = ""
    """What is said, empty where the package doesn't tell or writes it otherwise than it is spoken."""
    speaker: str = ""
    """Name of the voice or the role, empty where it isn't known."""
    label: str = ""
    """The letter or the digit that is said, where it is one alone."""


_NOT_SPEECH = re.compile(r"silence/.*|beep.*|.*-2tone|confbridge-(join|leave)|tt-monkeys")
_NOTE = re.compile(r"\s*(\[[^\]]*\]|\([^)]*\)|<[^>]*>)\s*$")
_PUNCTUATION = frozenset(" .,;:!?¡¿'’‘\"“”„«»‐-–—…·")
_SCRIPTS = {
    **dict.fromkeys(("be", "bg", "ru", "sr", "uk"), "CYRILLIC"),
    **dict.fromkeys(("ja", "ko", "zh"), ""),
    **{"ar": "ARABIC", "el": "GREEK", "he": "HEBREW", "ml": "MALAYALAM"},
}


def spoken(text: str, language: str) -> str:
    """The text with single spaces, or nothing where it isn't written as it is spoken.

    That is so for digits, currency and other signs, remarks in brackets, and words in another script than the language's.
    """
    script = _SCRIPTS.get(language, "LATIN")
    words = " ".join(text.split())
    for sign in words:
        letter = unicodedata.category(sign)[0] in "LM" or sign in "\u200c\u200d"
        if not letter and sign not in _PUNCTUATION:
            return ""
        if sign.isalpha() and script and unicodedata.name(sign, "").split(" ")[0] != script:
            return ""
    return words if any(sign.isalpha() for sign in words) else ""


def language_of(code: str) -> str:
    """The language of a locale: `pt` for `pt_BR`, `sr` for `sr@latin`."""
    return re.split("[_@]", code)[0].lower()


def asterisk(listing: bytes, members: Members, language: str) -> Iterator[Record]:
    """Telephone prompts by one voice; `listing` has a line `name: text` for each. Tones and silence are left out."""
    texts: dict[str, str] = {}
    for line in listing.decode("utf-8-sig").splitlines():
        name, colon, text = line.partition(":")
        if colon and not line.startswith(";"):
            texts.setdefault(name.strip(), text)
    for path, data in members.items():
        voice, _, name = path.removeprefix("usr/share/asterisk/sounds/").removesuffix(".g722").partition("/")
        if _NOT_SPEECH.fullmatch(name) or not data:
            continue
        text = spoken(_NOTE.sub("", texts.get(name, "")), language)
        found = re.fullmatch(r"digits/(\d)|letters/([a-z])", name)
        yield Record(f"{name}.g722", data, language, text, voice, found[1] or found[2] if found else "")


_CAPTION = re.compile(r"(?P<stem>.+?)_desc(_(?P<code>[a-z]{2,3}(_[A-Za-z]{2})?))?\.(ogg|wav)")
_NUMBER = re.compile(r"(?P<stem>symbols/math/(?P<label>\d))(_(?P<code>[a-z]{2}(_[A-Za-z]{2})?))?\.ogg")
_LETTER = re.compile(
    r"(?P<stem>symbols/alphabets/(?P<of>english|german)/\w+/\w+/(?P<label>[A-Za-z])_(filled|outline))(_en_GB)?\.ogg"
)


def tuxpaint(members: Members) -> Iterator[Record]:
    """Spoken captions of stamps with their texts; `x_desc_fr.ogg` says the line `fr.utf8=` of `x.txt`, numbers likewise.

    Sounds that the things on the stamps make are left out.
    """
    for path, data in members.items():
        captions = [_CAPTION.fullmatch(path), _NUMBER.fullmatch(path), _LETTER.fullmatch(path)]
        match = next(filter(None, captions), None)
        if match is None:
            continue
        found = match.groupdict()
        code = found.get("code") or ("de" if found.get("of") == "german" else "en")
        language = language_of(code)
        texts = _captions(members.get(f"{match['stem']}.txt", b""))
        text = "" if found.get("of") else texts.get(_case(code), texts.get(language, ""))
        label = (found.get("label") or "").lower()
        yield Record(path, data, language, spoken(text, language), label=label)


def _captions(file: bytes) -> dict[str, str]:
    first, *others = file.decode(errors="replace").splitlines() or [""]
    lines = (line.partition(".utf8=") for line in others)
    return {"en": first, **{code: text for code, equals, text in lines if equals}}


def _case(code: str) -> str:
    language, _, country = code.partition("_")
    return f"{language}_{country.upper()}" if country else language


_LINE = re.compile(
    r'dialogId\(\s*"(?P<name>[^"]+)"\s*,\s*"(?:font_)?(?P<role>[^"]*)"\s*,\s*"(?:[^"\\]|\\.)*"\s*\)\s*'
    r'dialogStr\(\s*"(?P<text>(?:[^"\\]|\\.)*)"\s*\)'
)


def fillets(scripts: Members, members: Members) -> Iterator[Record]:
    """Acted dialogue of a game, Czech, by the roles that speak; scripts call `sound/<level>/cs/<name>.ogg` by its name."""
    lines: dict[tuple[str, str], tuple[str, str]] = {}
    for path, script in scripts.items():
        folder = PurePosixPath(path).parts[-2]
        for match in _LINE.finditer(script.decode()):
            lines[folder, match["name"]] = (match["text"].replace('\\"', '"'), match["role"])
    for path, data in members.items():
        place = PurePosixPath(path.partition("/sound/")[2])
        folder = place.parts[0]
        text, role = lines.get((folder, place.stem), ("", ""))
        name = "/".join(part for part in place.parts if part != "cs")
        yield Record(name, data, "cs", spoken(text, "cs"), role)


def ktuberling(members: Members) -> Iterator[Record]:
    """Names of things, without texts: `hat`, `egypt_camel`, in the language of the folder."""
    for path, data in members.items():
        name = path.removeprefix("usr/share/ktuberling/sounds/")
        yield Record(f"ktuberling/{name}", data, language_of(name.partition("/")[0]))


def klettres(tables: Members, members: Members) -> Iterator[Record]:
    """Letters and syllables with their spelling, as the sounds.xml of every language has them."""
    root = "usr/share/klettres/"
    texts: dict[str, str] = {}
    for table in tables.values():
        for text, name in re.findall(r'<sound\s+name="([^"]*)"\s+file="([^"]*)"', table.decode()):
            texts.setdefault(name, text)
    for path, data in members.items():
        name = path.removeprefix(root)
        language = language_of(name.partition("/")[0])
        text = spoken(texts.get(name, ""), language)
        letter = text.lower() if "/alpha/" in name and re.fullmatch("[A-Za-z]", text) else ""
        yield Record(f"klettres/{name}", data, language, text, label=letter)
