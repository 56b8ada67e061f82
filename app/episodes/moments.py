"""Days, weeks, months and years that a query names, and how near to them something was said.

What is asked about a month was said in it, or soon before or after. A month without a year is that of any year; what
is relative ("yesterday", "last week", "3 days ago") counts from the moment that recency counts from.
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

NEAR_DAYS = 14
"""How many days before and after a date something is still near, ever less so."""

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
_AGO = re.compile(r"\b(\d{1,3}|a|an|one|two|three) (day|week|month|year)s? ago\b")
_COUNTS = {"a": 1, "an": 1, "one": 1, "two": 2, "three": 3}
_LAST = re.compile(r"\b(this|last|past) (week|month|year)\b")
_DAYS = {"day": 1, "week": 7, "month": 30, "year": 365}


@dataclass(frozen=True, slots=True)
class Period:
    """A day, a month or a year. year: None for any; month: None for a whole year; day: None for a whole month."""

    year: int | None
    month: int | None
    day: int | None

    def nearness(self, said: date) -> float:
        """0..1: 1 within it, 0 from `NEAR_DAYS` on."""
        years = [self.year] if self.year else range(max(1, said.year - 1), min(9999, said.year + 1) + 1)
        return max(0.0, 1 - min(_days_off(said, *self._ends(year)) for year in years) / NEAR_DAYS)

    def _ends(self, year: int) -> tuple[date, date]:
        if self.month is None:
            return date(year, 1, 1), date(year, 12, 31)
        last = calendar.monthrange(year, self.month)[1]
        if self.day is None:
            return date(year, self.month, 1), date(year, self.month, last)
        # The 30th of a February that some year doesn't have.
        day = date(year, self.month, min(self.day, last))
        return day, day


@dataclass(frozen=True, slots=True)
class Span:
    """From one day to another, both in it. near_days: of yesterday one knows better when it was than of a date."""

    first: date
    last: date
    near_days: int

    def nearness(self, said: date) -> float:
        """0..1: 1 within it, 0 from `near_days` on."""
        return max(0.0, 1 - _days_off(said, self.first, self.last) / self.near_days)


def named(text: str, today: date) -> list[Period | Span]:
    """The periods that a text names, in English or as ISO 8601 dates: the first few of them, near its beginning."""
    text = text[:_READ_CHARS]
    found: list[Period | Span] = [period for match in _ISO.finditer(text) if (period := _of_iso(match)) is not None]
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
    return [*_relative(text.casefold(), today), *found][:_PERIODS_MAX]


def nearness(said: Sequence[date], periods: Sequence[Period | Span]) -> list[float]:
    """0..1 for each day: how near it is to the nearest of the periods, of which there is at least one."""
    known = {day: max(period.nearness(day) for period in periods) for day in set(said)}
    return [known[day] for day in said]


def _relative(text: str, today: date) -> list[Period | Span]:
    found: list[Period | Span] = []
    for word, back in (("today", 0), ("yesterday", 1)):
        if re.search(rf"\b{word}\b", text):
            found.append(_back(today, back, back, 2))
    for match in _AGO.finditer(text):
        unit = _DAYS[match[2]]
        days = (_COUNTS.get(match[1]) or int(match[1])) * unit
        # Nobody counts weeks to the day, nor months to the week.
        loose = unit // 4
        found.append(_back(today, days + loose, days - loose, _near(unit)))
    for match in _LAST.finditer(text):
        unit = _DAYS[match[2]]
        if match[2] == "year":
            year = today.year - (match[1] == "last")
            found.append(Period(max(1, year), None, None))
        else:
            # "Last week" is the one before this one as often as the last seven days.
            found.append(_back(today, unit if match[1] == "this" else 2 * unit, 0, _near(unit)))
    return found


def _near(unit_days: int) -> int:
    return min(NEAR_DAYS, max(2, unit_days))


def _back(today: date, most: int, least: int, near_days: int) -> Span:
    def day(back: int) -> date:
        return date.fromordinal(max(1, today.toordinal() - back))

    return Span(day(most), day(least), near_days)


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
