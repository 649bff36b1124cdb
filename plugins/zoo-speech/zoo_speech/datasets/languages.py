"""Languages by code and by name: `de`, `German` and `german` are one, wherever a language is asked for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from zoo_core import UnknownName

NAMES: Mapping[str, str] = {
    "ab": "Abkhaz", "af": "Afrikaans", "am": "Amharic", "an": "Aragonese", "ar": "Arabic", "as": "Assamese", "ast": "Asturian",
    "ay": "Aymara", "az": "Azerbaijani", "ba": "Bashkir", "be": "Belarusian", "bg": "Bulgarian", "bm": "Bambara",
    "bn": "Bengali", "bo": "Tibetan", "br": "Breton", "bs": "Bosnian", "ca": "Catalan", "ceb": "Cebuano",
    "ckb": "Central Kurdish", "co": "Corsican", "cs": "Czech", "cv": "Chuvash", "cy": "Welsh", "da": "Danish", "de": "German",
    "dsb": "Lower Sorbian", "dv": "Dhivehi", "el": "Greek", "en": "English", "eo": "Esperanto", "es": "Spanish",
    "et": "Estonian", "eu": "Basque", "fa": "Persian", "ff": "Fula", "fi": "Finnish", "fo": "Faroese", "fr": "French",
    "fur": "Friulian", "fy": "Western Frisian", "ga": "Irish", "gd": "Scottish Gaelic", "gl": "Galician", "gn": "Guarani",
    "gu": "Gujarati", "ha": "Hausa", "haw": "Hawaiian", "he": "Hebrew", "hi": "Hindi", "hr": "Croatian", "hsb": "Upper Sorbian",
    "ht": "Haitian Creole", "hu": "Hungarian", "hy": "Armenian", "ia": "Interlingua", "id": "Indonesian", "ig": "Igbo",
    "ilo": "Ilocano", "is": "Icelandic", "it": "Italian", "ja": "Japanese", "jv": "Javanese", "jw": "Javanese",
    "ka": "Georgian", "kab": "Kabyle", "kk": "Kazakh", "kl": "Greenlandic", "km": "Khmer", "kn": "Kannada", "ko": "Korean",
    "ku": "Kurdish", "ky": "Kyrgyz", "la": "Latin", "lb": "Luxembourgish", "lg": "Ganda", "ln": "Lingala", "lo": "Lao",
    "lt": "Lithuanian", "luo": "Luo", "lv": "Latvian", "mg": "Malagasy", "mi": "Maori", "mk": "Macedonian", "ml": "Malayalam",
    "mn": "Mongolian", "mr": "Marathi", "ms": "Malay", "mt": "Maltese", "my": "Burmese", "nb": "Norwegian Bokmål",
    "nds": "Low German", "ne": "Nepali", "nl": "Dutch", "nn": "Norwegian Nynorsk", "no": "Norwegian", "oc": "Occitan",
    "om": "Oromo", "or": "Odia", "pa": "Punjabi", "pl": "Polish", "ps": "Pashto", "pt": "Portuguese", "qu": "Quechua",
    "rm": "Romansh", "ro": "Romanian", "ru": "Russian", "rw": "Kinyarwanda", "sa": "Sanskrit", "sc": "Sardinian",
    "sd": "Sindhi", "se": "Northern Sami", "si": "Sinhala", "sk": "Slovak", "sl": "Slovenian", "sn": "Shona", "so": "Somali",
    "sq": "Albanian", "sr": "Serbian", "st": "Southern Sotho", "su": "Sundanese", "sv": "Swedish", "sw": "Swahili",
    "ta": "Tamil", "te": "Telugu", "tg": "Tajik", "th": "Thai", "ti": "Tigrinya", "tk": "Turkmen", "tl": "Tagalog",
    "tn": "Tswana", "tr": "Turkish", "tt": "Tatar", "ug": "Uyghur", "uk": "Ukrainian", "ur": "Urdu", "uz": "Uzbek",
    "vi": "Vietnamese", "wa": "Walloon", "wo": "Wolof", "xh": "Xhosa", "yi": "Yiddish", "yo": "Yoruba", "yue": "Cantonese",
    "zh": "Chinese", "zu": "Zulu",
}  # fmt: skip
"""The English name of each language, by its ISO 639 code: those of Whisper, of the named data sets, and some more."""

OTHERS: Mapping[str, str] = {
    "castilian": "es", "cantonese": "yue", "flemish": "nl", "haitian": "ht", "letzeburgesch": "lb", "mandarin": "zh",
    "moldavian": "ro", "moldovan": "ro", "myanmar": "my", "nynorsk": "nn", "bokmål": "nb", "panjabi": "pa", "pushto": "ps",
    "sinhalese": "si", "valencian": "ca", "farsi": "fa", "filipino": "tl", "frisian": "fy", "gaelic": "gd", "oriya": "or",
}  # fmt: skip
"""Other names, in small letters."""

_SAME = {"jv": "jw", "jw": "jv", "nb": "no", "fil": "tl", "iw": "he", "in": "id", "ji": "yi", "cmn": "zh"}
_CODES = {name.casefold(): code for code, name in NAMES.items()} | dict(OTHERS) | {"javanese": "jv"}


def language_code(language: str, known: Iterable[str], *, where: str = "") -> str:
    """The code that is meant, of those that are known.

    `language` is a code, in any case and with a country (`pt-BR`, `en_US`), or a name in English. Raises `UnknownName`.
    """
    known = tuple(known)
    if code := known_language(language, known):
        return code
    raise UnknownName("language", language, [*known, *(NAMES[one] for one in known if one in NAMES)], where=where)


def known_language(language: str, known: Iterable[str]) -> str:
    """As `language_code`, empty for a language that isn't among the known ones."""
    known = tuple(known)
    wanted = language.strip().casefold()
    code = _CODES.get(wanted, wanted.replace("_", "-").partition("-")[0])
    return next((one for one in (language, code, _SAME.get(code, "")) if one and one in known), "")


def language_name(code: str) -> str:
    """The English name of a code; the code itself where nobody knows it."""
    return NAMES.get(code, code)


def are_languages(labels: Iterable[str]) -> bool:
    """Whether labels are codes of languages, all of them."""
    return all(label in NAMES for label in labels)
