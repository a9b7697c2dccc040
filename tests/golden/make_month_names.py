"""Write the names of months in the languages of the EU, and some more, from Unicode's CLDR.

Run it where the package ``Babel`` is, which ships CLDR (Unicode licence)::

    python tests/golden/make_month_names.py
"""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path

LANGUAGES = (
    *("bg", "ca", "cs", "da", "de", "el", "en", "es", "et", "fi", "fr", "ga", "hr", "hu", "it"),
    *("lb", "lt", "lv", "mt", "nb", "nl", "pl", "pt", "ro", "ru", "sk", "sl", "sv", "tr"),
)


def main() -> None:
    """Write the names, as they stand in a date, in full and in short."""
    from babel import Locale

    names = {
        language: [
            sorted(
                {
                    Locale.parse(language).months["format"][width][month]
                    for width in ("wide", "abbreviated")
                }
            )
            for month in range(1, 13)
        ]
        for language in LANGUAGES
    }
    content = {"made_by": {"babel": version("babel")}, "names": names}
    out = Path(__file__).parent / "month-names.json"
    out.write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
