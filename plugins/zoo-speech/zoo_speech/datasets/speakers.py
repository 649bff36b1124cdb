"""The data set of voices: who speaks, as far as the packages tell, and which voices are kept for tests.

A folder of recordings counts as one voice where its package names one person for it (the prompts of Asterisk, the credits
of KLettres, the changes of Tux Paint's stamps, the artist in the files of KTuberling), or where it names nobody but all its
files come from one encoder, with pitches around one peak. What has several readers, or may have, is left out. The named
roles of the Czech game count as voices, although some may share an actor; those named by a colour of its subtitles don't.

A voice is mostly one microphone in one room, and mostly one language, so that whatever tells these apart tells voices apart
too. That is why all voices of a language are in one split, for a test to compare them with each other, which it can but for
the microphone; languages with one voice are trained on. An encoder pretrained on speech-mix has heard most of these
recordings, without being told whose they are.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from zoo_core.data import SPLITS, PreparedFiles, SplitData, joined_groups, subset_by_hash
from zoo_speech.configs.data import Voices
from zoo_speech.datasets.catalog import of_languages, prepared_rows, subset_of
from zoo_speech.datasets.samples import Recording

NAME = "voices"

TEST, VALIDATION = 0.3, 0.2
"""Shares of the voices that aren't alone in their language."""

_READERS: Sequence[tuple[str, str]] = (
    (r"asterisk-e[ns]/.*", "asterisk-en-es"),  # Allison Smith speaks both
    (r"asterisk-(fr|it|ru)/.*", r"asterisk-\1"),
    (r"tuxpaint-speech/.*_desc_(be|bg|ca|da|el|es|lt|ro|ru)\.ogg", r"tuxpaint-\1"),
    (r"tuxpaint-speech/.*_(en_GB)\.ogg", r"tuxpaint-\1"),
    (r"letters-words/klettres/(ar|cs|da|en|fr|he|hu|it|lt|ml|ru|uk)/.*", r"klettres-\1"),
    (r"letters-words/klettres/(de)/syllab/.*", r"klettres-\1"),  # the alphabet is newer, by somebody else
    (r"letters-words/ktuberling/(de|ga|lt|sl|sr|sv|wa)[@/].*", r"ktuberling-\1"),
    (r"letters-words/ktuberling/(da)/(?:[a-z]+-tux|tux-[a-z]+)\.ogg", r"ktuberling-\1"),
    (r"letters-words/ktuberling/ca/(?:tv|robot_workshop|butterflies)_.*", "ktuberling-ca-tv"),
    (r"letters-words/ktuberling/ca/(egypt|moon|pizzeria|xmas)_.*", r"ktuberling-ca-\1"),
    (r"letters-words/ktuberling/ca/[A-Za-z-]+\.ogg", "ktuberling-ca-tux"),
)
"""Names of recordings, and the voice that reads them."""

_ROLES = re.compile(r"big|small|statue|parrot|robodog|linuxer\d|viking\d")


def voice_of(row: Recording) -> str:
    """Who speaks; empty where it isn't known."""
    if row.name.startswith("czech/"):
        return f"czech-{row.speaker}" if _ROLES.fullmatch(row.speaker) else ""
    found = ((re.fullmatch(pattern, row.name), voice) for pattern, voice in _READERS)
    return next((match.expand(voice) for match, voice in found if match), "")


def read_speakers(config: Voices, prepared: PreparedFiles) -> SplitData:
    """Recordings labelled by who speaks; no voice is in two of the splits, and no language."""
    rows = [row for found in prepared_rows(prepared).values() for row in found]
    for row in rows:
        row.label = voice_of(row)
    known = [row for row in rows if row.label]
    single, shared = _without_shared(known)
    kept = _limited(single, config)
    splits = of_languages(_split(kept), config.languages, where=NAME)
    counts = ", ".join(f"{len({row.label for row in found})} in {split}" for split, found in splits.items())
    notices = (
        f"{NAME}: {len(rows) - len(known):,} recordings left out whose voice isn't known, {shared:,} copies in two voices",
        f"{NAME}: split by voice and language: {counts}; voices differ by their microphones too",
    )
    # Without labels: those of one split have no numbers that another's could be compared with.
    return subset_of(NAME, splits, config, notices=notices)


def _without_shared(rows: Sequence[Recording]) -> tuple[list[Recording], int]:
    """The rows whose recording is of one voice only, and how many aren't."""
    heard: dict[str, set[str]] = {}
    for row in rows:
        heard.setdefault(row.key, set()).add(row.label)
    kept = [row for row in rows if len(heard[row.key]) == 1]
    return kept, len(rows) - len(kept)


def _limited(rows: Iterable[Recording], config: Voices) -> list[Recording]:
    """So many recordings of each voice as are wanted, voices in turn as the hash of the recordings has it."""
    of_voice: dict[str, list[Recording]] = {}
    for row in rows:
        of_voice.setdefault(row.label, []).append(row)
    enough = [found for found in of_voice.values() if len(found) >= config.fewest]
    kept = [row for found in enough for row in _drawn(found, min(len(found), config.most))]
    return _drawn(kept, len(kept))


def _drawn(rows: Sequence[Recording], count: int) -> list[Recording]:
    return [rows[place] for place in subset_by_hash([row.key for row in rows], count, 0, where=NAME)]


def _split(rows: Sequence[Recording]) -> dict[str, list[Recording]]:
    """Whole languages by the hash of their codes: to the test until it has its share of the voices, and so on."""
    speakers = dict.fromkeys(row.label for row in rows)
    spoken: Mapping[str, set[str]] = {voice: {row.language for row in rows if row.label == voice} for voice in speakers}
    pairs = [(voice, language) for voice in speakers for language in sorted(spoken[voice])]
    groups = dict(zip(pairs, joined_groups(*map(list, zip(*pairs, strict=True))), strict=True)) if pairs else {}
    of_voice = {voice: groups[voice, min(spoken[voice])] for voice in speakers}
    sizes = Counter(of_voice.values())
    several = sorted(
        (group for group in sizes if sizes[group] > 1), key=lambda group: hashlib.sha256(group.encode()).digest()
    )
    most = sum(sizes[group] for group in several)
    place = dict.fromkeys(sizes, "train")
    for split, share in (("test", TEST), ("validation", VALIDATION)):
        taken = 0
        while several and taken < share * most:
            group = several.pop(0)
            place[group], taken = split, taken + sizes[group]
    return {split: [row for row in rows if place[of_voice[row.label]] == split] for split in SPLITS}
