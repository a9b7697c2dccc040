"""Check the built documentation: nothing is loaded from elsewhere.

    python scripts/check_site.py [site]

Links that a reader may follow are fine; scripts, styles, fonts, pictures and frames from
another host are not: the site must open inside a closed network.
"""

from __future__ import annotations

import re
import sys
from html.parser import HTMLParser
from pathlib import Path

LOADS = {
    ("script", "src"),
    ("img", "src"),
    ("iframe", "src"),
    ("source", "src"),
    ("link", "href"),
    ("form", "action"),
}
HARMLESS = {"canonical", "next", "prev", "alternate", "edit"}
REMOTE = re.compile(r"^(?:https?:)?//", re.IGNORECASE)
CSS = re.compile(r"(?:@import\s+|url\()\s*['\"]?((?:https?:)?//[^'\")\s]+)", re.IGNORECASE)


class Page(HTMLParser):
    """Collects what a page loads."""

    def __init__(self) -> None:
        super().__init__()
        self.loads: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note every address that the browser would fetch by itself."""
        found = dict(attrs)
        if tag == "link" and set((found.get("rel") or "").split()) <= HARMLESS:
            return
        for name, value in found.items():
            if (tag, name) in LOADS and value and REMOTE.match(value):
                self.loads.append(value)
            if name == "style" and value:
                self.loads += CSS.findall(value)


def remote_loads(site: Path) -> list[str]:
    """List what pages and styles would fetch from another host."""
    found = []
    for path in sorted(site.rglob("*.html")):
        page = Page()
        page.feed(path.read_text(encoding="utf-8"))
        found += [f"{path.relative_to(site)}: {load}" for load in page.loads]
    for path in sorted(site.rglob("*.css")):
        found += [
            f"{path.relative_to(site)}: {load}"
            for load in CSS.findall(path.read_text(encoding="utf-8"))
        ]
    return found


def main() -> None:
    """Say what was found; exit code 1 if there is anything."""
    site = Path(*sys.argv[1:] or ["site"])
    pages = list(site.rglob("*.html"))
    if not pages:
        sys.exit(f"{site} holds no pages. Build them with: make docs")
    found = remote_loads(site)
    if found:
        sys.exit("loaded from elsewhere:\n" + "\n".join(found))
    print(f"{len(pages)} pages, nothing loaded from elsewhere")


if __name__ == "__main__":
    main()
