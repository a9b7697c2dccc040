"""Birth dates as people and software write them: one date, one text, or none.

A date that cannot be read, is impossible or lies in the future is missing, and is counted: encoded
as it is written it would make all the people alike whose date is "unknown".
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable
from functools import lru_cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

_MONTHS = (
    # English, Dutch, German, Scandinavian, French, Spanish, Italian, Portuguese, Polish, Turkish,
    # Romanian and Czech beginnings that are of one month only.
    "jan|ene|gen|ian|sty|oca|led|ιαν|янв|яну|jaan|saus|tammi|ean|sij",
    "feb|f[eé]v|lut|şub|sub|únor|unor|φεβ|фев|veeb|vas|helmi|feabh|fra|velj|úno",
    "mar(?!ras)|mrt|maa(?!l)|mär|maer|már|břez|brez|μαρ|мар|kov|maalis|μάρ|ožu|bře|mäe",
    "apr|ápr|abr|avr|kwi|nis|dub|απρ|апр|bal|huhti|aib|tra",
    "ma[yijg]|máj|mai|mei(?!th)|kvě|kve|μαϊ|μαΐ|μαι|μάι|ма[йя]|geg|touko|beal|mej|svi|mee",
    (
        "jun|jún|jūn|juin|giu|cze|haz|iun|ιουν|июн|юни|juun|birž|kesä|meith|ġun|lipanj|lipnj|ιούν"
        r"|červ(?:en(?!ec|ce)|na)|čvn"
    ),
    (
        "jul|júl|jūl|juil|lug|lip(?!anj|nj)|tem|iul|ιουλ|июл|юли|juul|liep|hein|iúil|lul|ιούλ"
        "|července|červenec|čvc|srpanj|srpnja"
    ),
    "aug|avg|ago|ao[uû]|sie|ağu|agu|srpen|srpna|αυγ|αύγ|авг|rugp|elo|lún|aww|kol|ag",
    "sep|szep|set|wrz|eyl|zář|zar|σεπ|сен|сеп|rugs|syys|ruj|me[aá]n f[oó]mh|mf[oó]mh",
    "o[ck]t|out|ott|pa[zź]|říj|rij|eki|οκτ|окт|spal|loka|deireadh f[oó]mh|df[oó]mh",
    "nov|noi|lis|kas|νοε|ноя|ное|lapk|marras|samh|stu|νοέ",
    "de[czs]|dic|déc|gru|gruo|ara|pros|δεκ|дек|dets|joulu|noll|diċ|pro",
)
_CUT = r"\s*[-/., \u2010-\u2015]\s*"
_YEAR = r"(1[89]\d\d|20\d\d)"
_TIME = r"(?:[ tT].*)?"
_TODAY = dt.date.today
_SHORT_YEAR = 100
_EVENING = re.compile(r"[ tT](?:21|22|23):00(?::00(?:\.0+)?)?(?:[zZ]|\+00:?00)$")


def date_dmy(values: pa.StringArray) -> pa.StringArray:
    """Write a date as YYYYMMDD, whether its year comes first or last: 28-6-2007, 2007-06-28.

    Where the year comes last, the day comes first. Names of months may be of most languages of
    the EU; a time of day is dropped, and midnight elsewhere (22:00Z) is the next day. A year
    of two digits is the last one that is not in the future. A day or month 00 is left
    out: 00-05-1950 becomes 195005. What is no date, or one in the future, is null.

        >>> date_dmy(pa.array(["28-6-2007", "1950-05-01", "5 mei 1950", "onbekend"])).to_pylist()
        ['20070628', '19500501', '19500505', None]
    """
    return _ymd(values, day_first=True)


def date_mdy(values: pa.StringArray) -> pa.StringArray:
    """Like `date_dmy`; where the year comes last, the month comes first: 06/28/2007."""
    return _ymd(values, day_first=False)


def full_year(two_digits: int, latest: dt.date, month: int, day: int) -> int:
    """Return the last year with these two digits in which the date is not after ``latest``.

    >>> full_year(30, dt.date(2026, 11, 30), 3, 5), full_year(25, dt.date(2026, 11, 30), 3, 5)
    (1930, 2025)
    """
    year = latest.year - latest.year % _SHORT_YEAR + two_digits
    after = (year, month, day) > (latest.year, latest.month, latest.day)
    return year - _SHORT_YEAR if after else year


def in_future(ymd: str, latest: dt.date) -> bool:
    """Tell whether a date as YYYYMMDD, YYYYMM or YYYY lies after a day.

    >>> in_future("20991231", dt.date(2026, 11, 30)), in_future("2026", dt.date(2026, 11, 30))
    (True, False)
    """
    return ymd > f"{latest:%Y%m%d}"[: len(ymd)]


def next_day_of_evening(text: str) -> str | None:
    """Return the date that a time in UTC was midnight of, as YYYY-MM-DD; None for others.

    >>> next_day_of_evening("1950-04-30T22:00:00Z")
    '1950-05-01'
    """
    if not _EVENING.search(text):
        return None
    try:
        return str(dt.date.fromisoformat(text[:10]) + dt.timedelta(days=1))
    except (ValueError, OverflowError):
        return None


def _ymd(values: pa.StringArray, *, day_first: bool) -> pa.StringArray:
    """Do at once what is written in digits in full, and the rest one by one."""
    latest = _TODAY()
    texts = pc.utf8_trim_whitespace(values)
    done = _at_once(texts, day_first, latest)
    open_ = pc.and_(pc.is_null(done), pc.fill_null(pc.not_equal(texts, ""), False))
    places = np.flatnonzero(open_.to_numpy(zero_copy_only=False))
    if not len(places):
        return done
    read = _reader(day_first, latest)
    rest = [read(text) for text in texts.take(pa.array(places)).to_pylist()]
    return pc.replace_with_mask(done, open_, pa.array(rest, pa.string()))


_FULL = {
    "ymd": rf"^{_YEAR}[-/.]?(0[1-9]|1[0-2])[-/.]?(0[1-9]|[12]\d|3[01])$",
    "dmy": rf"^(0?[1-9]|[12]\d|3[01])[-/.](0?[1-9]|1[0-2])[-/.]{_YEAR}$",
    "mdy": rf"^(0?[1-9]|1[0-2])[-/.](0?[1-9]|[12]\d|3[01])[-/.]{_YEAR}$",
}


_POSSIBLE = (
    rf"^{_YEAR}(0[1-9]|1[0-2])(0[1-9]|1\d|2[0-8])$|^{_YEAR}(0[13-9]|1[0-2])(29|30)$"
    rf"|^{_YEAR}(0[13578]|1[02])31$"
)


def _at_once(texts: pa.StringArray, day_first: bool, latest: dt.date) -> pa.StringArray:
    """Write the dates in digits that are plainly possible; null for every other."""
    first = pc.replace_substring_regex(texts, _FULL["ymd"], r"\1\2\3")
    order = "dmy" if day_first else "mdy"
    turned = r"\3-\2-\1" if day_first else r"\3-\1-\2"
    ymd = pc.replace_substring_regex(first, _FULL[order], turned)
    ymd = pc.replace_substring_regex(ymd, r"^(\d{4})-(\d)-", r"\1-0\2-")
    ymd = pc.replace_substring_regex(ymd, r"^(\d{4}-\d\d)-(\d)$", r"\1-0\2")
    ymd = pc.replace_substring_regex(ymd, r"^(\d{4})-(\d\d)-(\d\d)$", r"\1\2\3")
    # The 29th of February is left to the rule.
    plain = pc.match_substring_regex(ymd, _POSSIBLE)
    past = pc.less_equal(ymd, f"{latest:%Y%m%d}")
    return pc.if_else(pc.and_(plain, past), ymd, pa.scalar(None, pa.string()))


@lru_cache(maxsize=4)
def _reader(day_first: bool, latest: dt.date) -> Callable[[str], str | None]:
    year = r"(?P<year>\d{4})"
    one, two = ("day", "month") if day_first else ("month", "day")
    names = "|".join(f"(?P<m{at}>{name})" for at, name in enumerate(_MONTHS, 1))
    word = rf"(?:{names})[^\W\d]*\.?"
    patterns = [
        re.compile(pattern + "$", re.IGNORECASE)
        for pattern in (
            rf"{year}{_CUT}(?P<month>\d\d?){_CUT}(?P<day>\d\d?){_TIME}",
            rf"{year}(?P<month>\d\d)(?P<day>\d\d){_TIME}",
            rf"(?P<{one}>\d\d?){_CUT}(?P<{two}>\d\d?){_CUT}{year}{_TIME}",
            rf"(?P<{one}>\d\d)(?P<{two}>\d\d){year}",
            (
                rf"(?P<day>\d\d?)(?:er|st|nd|rd|th|e|º|ª|\.)?(?:{_CUT}|\s*)(?:de |d['’])?{word}"
                rf"(?:{_CUT}|\s*)(?:de )?{year}{_TIME}"
            ),
            rf"{word}(?:{_CUT}|\s*)(?P<day>\d\d?)(?:st|nd|rd|th)?{_CUT}{year}{_TIME}",
            rf"{year}(?:{_CUT}|\s*){word}(?:{_CUT}|\s*)(?P<day>\d\d?){_TIME}",
            rf"(?P<{one}>\d\d?){_CUT}(?P<{two}>\d\d?){_CUT}['’]?(?P<short>\d\d){_TIME}",
            rf"(?P<day>\d\d?)(?:{_CUT}|\s*){word}(?:{_CUT}|\s*)(?P<short>\d\d)",
            rf"{year}年\s*(?P<month>\d\d?)月\s*(?P<day>\d\d?)日",
            rf"{word}{_CUT}{year}",
            rf"(?P<month>\d\d?)[-/.]{year}",
            rf"{year}[-/.](?P<month>\d\d)",
            rf"{year}",
        )
    ]

    def read(text: str) -> str | None:
        text = _of_era(next_day_of_evening(text) or text)
        for pattern in patterns:
            if found := pattern.match(text):
                parts = found.groupdict()
                named = next((n for n in range(1, 13) if parts.get(f"m{n}")), None)
                month = named or int(parts.get("month") or 0)
                day = int(parts.get("day") or 0)
                if parts.get("short"):
                    whole = full_year(int(parts["short"]), latest, month, day)
                else:
                    whole = int(parts["year"])
                if written := _written(whole, month, day, latest):
                    return written
        return None

    return read


_ERAS = {"明治": 1867, "大正": 1911, "昭和": 1925, "平成": 1988, "令和": 2018}
"""The year before the first of each era of Japan since 1868."""
_ERA = re.compile(rf"^({'|'.join(_ERAS)})\s*(元|\d\d?)年")


def _of_era(text: str) -> str:
    """Write the year of a Japanese era as a year of the common era."""
    found = _ERA.match(text)
    if not found:
        return text
    number = 1 if found.group(2) == "元" else int(found.group(2))
    return f"{_ERAS[found.group(1)] + number}年{text[found.end() :]}"


def _written(year: int, month: int, day: int, latest: dt.date) -> str | None:
    """Write a date, leaving out a day or month that is 0; None if it is impossible."""
    if year < 1800:
        return None
    if not month:
        text = f"{year:04}" if not day else None
    elif not day:
        text = f"{year:04}{month:02}" if month <= 12 else None
    else:
        try:
            text = f"{dt.date(year, month, day):%Y%m%d}"
        except ValueError:
            return None
    return None if text is None or in_future(text, latest) else text
