"""One input that can't be answered costs no other its answer: in Python and on the command line, in every modality."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from zoo_core import load
from zoo_core.cli import main
from zoo_core.contract.answers import Unreadable, answer_each, is_failure
from zoo_core.errors import DataError, PluginError, UsageError

asked: list[int] = []


def doubled(items: Sequence[Any]) -> list[dict[str, Any]]:
    """Refuses a whole batch for one bad item, naming its place in the batch as tasks do."""
    asked.append(len(items))
    for number, item in enumerate(items):
        if not isinstance(item, int):
            raise DataError(f"input {number + 1}: expected a number, found {item!r}", hint="give numbers")
    return [{"answer": 2 * item} for item in items]


def test_a_thousand_inputs_with_three_bad_ones_give_the_other_answers_in_order_and_three_errors_by_place() -> None:
    asked.clear()
    items: list[Any] = list(range(1000))
    items[0], items[500], items[999] = None, "x", None
    answers = list(answer_each(doubled, items))
    assert [item for item, _ in answers] == items
    assert [answer["answer"] for item, answer in answers if isinstance(item, int)] == [
        2 * n for n in items if n in range(1000)
    ]
    assert [answer["error"] for _, answer in answers if is_failure(answer)] == [
        "input 1: expected a number, found None",
        "input 501: expected a number, found 'x'",
        "input 1000: expected a number, found None",
    ]
    assert len(asked) <= 32 + 3 * 2 * 5


def test_an_input_that_could_not_be_read_is_named_without_being_asked() -> None:
    answers = list(answer_each(doubled, [1, Unreadable("stdin:2", DataError("stdin:2: not valid UTF-8")), 3]))
    assert answers[1] == ("stdin:2", {"error": "input 2: stdin:2: not valid UTF-8", "hint": ""})
    assert [answers[0][1], answers[2][1]] == [{"answer": 2}, {"answer": 6}]


def test_a_message_that_names_no_place_gets_one_and_other_errors_end_everything() -> None:
    def silent(items: Sequence[Any]) -> list[dict[str, Any]]:
        raise DataError("too long")

    assert list(answer_each(silent, ["a"])) == [("a", {"error": "input 1: too long", "hint": ""})]

    def broken(items: Sequence[Any]) -> list[dict[str, Any]]:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        list(answer_each(broken, [1, 2]))
    with pytest.raises(PluginError, match="gave 1 answers for 2 inputs"):
        list(answer_each(lambda items: [{}], [1, 2]))


def test_nothing_is_asked_for_before_it_is_needed() -> None:
    asked.clear()
    assert next(answer_each(doubled, iter(range(1000)), batch=4)) == (0, {"answer": 0}) and asked == [4]


def texts(folder: Path) -> tuple[list[Any], list[Any]]:
    return [f"thank you {number}" for number in range(7)], ["word " * 600, None, 3]


def images(folder: Path) -> tuple[list[Any], list[Any]]:
    good = [np.full((28, 28), 40 * number, dtype=np.uint8) for number in range(6)]
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n cut off")
    return good, [str(folder / "broken.png"), None, str(folder / "absent.png")]


def sounds(folder: Path) -> tuple[list[Any], list[Any]]:
    waves = np.random.default_rng(0).standard_normal((4, 16_000)).astype(np.float32) / 10
    (folder / "broken.wav").write_bytes(b"RIFF cut off")
    return list(waves), [str(folder / "broken.wav"), None, str(folder / "absent.wav")]


def seeds(folder: Path) -> tuple[list[Any], list[Any]]:
    return [0, 1, 2, 3], ["no number", 10**23, str(folder / "absent.png")]


CASES: dict[str, Callable[[Path], tuple[list[Any], list[Any]]]] = {
    "bert_tiny.sentiment": texts,
    "resnet_nano.fashion": images,
    "wav2vec2_nano.languages": sounds,
    "r3gan_nano.fashion_classes": seeds,
}


@pytest.mark.parametrize("name", CASES)
def test_bundled_models_answer_the_rest(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOO_HOME", str(tmp_path / "home"))
    model = load(name)
    good, bad = CASES[name](tmp_path)
    mixed = [good[0], bad[0], *good[1:3], bad[1], *good[3:], bad[2]]
    answers = model.predict(mixed, on_error="skip")
    places = [number for number, answer in enumerate(answers, start=1) if is_failure(answer)]
    assert len(answers) == len(mixed) and places == [2, 5, len(mixed)]
    assert [
        answer["error"].startswith(f"input {place}")
        for place, answer in zip(places, (answers[p - 1] for p in places), strict=True)
    ] == [True] * 3
    alone = model.predict(good)
    for answer, expected in zip((answer for answer in answers if not is_failure(answer)), alone, strict=True):
        assert answer.keys() == expected.keys()
        if "score" in answer:
            assert answer["label"] == expected["label"] and answer["score"] == pytest.approx(
                expected["score"], abs=1e-5
            )
    with pytest.raises(DataError, match=r"(input|sample) \d"):
        model.predict(mixed)
    with pytest.raises(UsageError, match="on_error"):
        model.predict(good, on_error="ignore")


def test_the_command_line_answers_the_rest_and_exits_with_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ZOO_HOME", str(tmp_path / "home"))
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(40):
        Image.new("L", (28, 28), number).save(folder / f"{number:02d}.png")
    for number in (0, 35, 39):
        (folder / f"{number:02d}.png").write_bytes((folder / f"{number:02d}.png").read_bytes()[:40])
    assert main(["predict", "resnet_nano.fashion", str(folder)]) == 1
    shown = capsys.readouterr()
    assert len(shown.out.splitlines()) == 1 + 37
    errors = [line for line in shown.err.splitlines() if line.startswith("error: input")]
    assert [line.split(":")[1] for line in errors] == [" input 1", " input 36", " input 40"]
    assert "3 of 40 inputs could not be answered" in shown.err
    assert main(["predict", "resnet_nano.fashion", str(folder), "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert len(document) == 40 and [n for n, row in enumerate(document) if "error" in row] == [0, 35, 39]
    assert main(["predict", "resnet_nano.fashion", str(folder / "00.png")]) == DataError.exit_code
    assert main(["predict", "resnet_nano.fashion", str(folder / "01.png"), str(tmp_path / "empty")]) == 1


def test_lines_that_are_not_utf8_or_too_long_are_named_and_the_others_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ZOO_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("zoo_core.cli.infer.MAX_LINE", 1000)
    lines = b"thank you\nbad \xff\n" + b"x" * 5000 + b"\nso late again\n"
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(lines)))
    assert main(["predict", "bert_tiny.sentiment", "-"]) == 1
    shown = capsys.readouterr()
    assert [bool(line.strip("-")) for line in shown.out.splitlines()] == [True, False, False, True]
    assert "input 2: stdin:2: not valid UTF-8" in shown.err and "input 3: stdin:3: longer than 1,000 bytes" in shown.err
    (tmp_path / "lines.txt").write_bytes(b"thank you\nbad \xff\nso late again\nbad \xfe\n")
    assert main(["predict", "bert_tiny.sentiment", "--file", str(tmp_path / "lines.txt"), "--json"]) == 1
    rows = json.loads(capsys.readouterr().out)
    assert ["error" in row for row in rows] == [False, True, False, True] and "lines.txt:2" in rows[1]["error"]
