"""Days, months and years that a query names, and how near to them something was said.

What is asked about a month was said in it, or soon before or after. A month without a year is that of any year.
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

NEAR_DAYS = 14
"""How many days before and after it something is still near, ever less so."""

_NAMES = (
    "january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november",
    "december",
)  # fmt: skip
_MONTHS = {form: number for number, name in enumerate(_NAMES, 1) for form in (name, name[:3])} | {"sept": 9}
# Words of everyday: a month only beside a number, or behind a word that says so.
_EVERYDAY = {"may", "march", "mar", "jan", "dec", "sep"}
_BEFORE_MONTHS = {"in", "on", "during", "since", "until", "of", "by", "before", "after", "early", "late", "mid", "last"}
_READ_CHARS = 2_000
_PERIODS_MAX = 8
_ISO = re.compile(r"\b((?:19|20)\d\d)-(\d\d)(?:-(\d\d))?\b")
_TOKEN = re.compile(r"\w+")
_YEAR = re.compile(r"(?:19|20)\d\d")
_DAY = re.compile(r"(\d{1,2})(?:st|nd|rd|th)?")


@dataclass(frozen=True, slots=True)
class Period:
    """A day, a month or a year. year: None for any; month: None for a whole year; day: None for a whole month."""

    year: int | None
    month: int | None
    day: int | None

    def distance(self, said: date) -> int:
        """Days between it and a day; 0 within it."""
        years = [self.year] if self.year else range(max(1, said.year - 1), min(9999, said.year + 1) + 1)
        return min(_days_off(said, *self._ends(year)) for year in years)

    def _ends(self, year: int) -> tuple[date, date]:
        if self.month is None:
            return date(year, 1, 1), date(year, 12, 31)
        last = calendar.monthrange(year, self.month)[1]
        if self.day is None:
            return date(year, self.month, 1), date(year, self.month, last)
        # The 30th of a February that some year doesn't have.
        day = date(year, self.month, min(self.day, last))
        return day, day


def named(text: str) -> list[Period]:
    """The periods that a text names, in English or as ISO 8601 dates: the first few of them, near its beginning."""
    text = text[:_READ_CHARS]
    found = [period for match in _ISO.finditer(text) if (period := _of_iso(match)) is not None]
    words = _TOKEN.findall(_ISO.sub(" ", text).casefold())
    years_used: set[int] = set()
    for place, word in enumerate(words):
        if word in _MONTHS:
            day, year, year_at = _beside(words, place)
            behind = place > 0 and words[place - 1] in _BEFORE_MONTHS
            if word in _EVERYDAY and day is None and year is None and not behind:
                continue
            found.append(Period(year, _MONTHS[word], day))
            if year_at is not None:
                years_used.add(year_at)
    found += [
        Period(int(word), None, None)
        for place, word in enumerate(words)
        if _YEAR.fullmatch(word) and place not in years_used
    ]
    return found[:_PERIODS_MAX]


def nearness(said: Sequence[date], periods: Sequence[Period]) -> list[float]:
    """0..1 for each day: 1 within a period, 0 from `NEAR_DAYS` on."""
    known: dict[date, float] = {}
    for day in said:
        if day not in known:
            off = min(period.distance(day) for period in periods)
            known[day] = max(0.0, 1 - off / NEAR_DAYS)
    return [known[day] for day in said]


def _beside(words: Sequence[str], place: int) -> tuple[int | None, int | None, int | None]:
    """Day and year beside a month, and where the year stands: "3 May 2023", "the 3rd of May", "May 3rd, 2023"."""
    day = year = year_at = None
    before = place - 2 if words[place - 1 : place] == ["of"] else place - 1
    if before >= 0:
        day = _day(words[before])
    after = place + 1
    if day is None and after < len(words) and (day := _day(words[after])) is not None:
        after += 1
    if after < len(words) and _YEAR.fullmatch(words[after]):
        year, year_at = int(words[after]), after
    return day, year, year_at


def _day(word: str) -> int | None:
    match = _DAY.fullmatch(word)
    return int(match[1]) if match and 1 <= int(match[1]) <= 31 else None


def _of_iso(match: re.Match[str]) -> Period | None:
    year, month, day = int(match[1]), int(match[2]), int(match[3]) if match[3] else None
    if not 1 <= month <= 12 or (day is not None and not 1 <= day <= 31):
        return None
    return Period(year, month, day)


def _days_off(said: date, first: date, last: date) -> int:
    return max(0, (first - said) // timedelta(days=1), (said - last) // timedelta(days=1))
