"""Values that Open Link Token takes for no value, and letters that it replaces.

They are part of the scheme: with another list the same person has another token.
Source: the package ``openlinktoken`` 2.2.1 (MIT).
"""

from __future__ import annotations


def _split(text: str) -> frozenset[str]:
    return frozenset(text.replace("\n", "").split("|"))


NAMES = _split("""
<masked>|anonymous|automation test|automationtest|donor|missing|n/a|none|not available
|notavailable|patient|patient not found|patientnotfound|sample|test|unavailable|unknown
|zzztrash
""")
"""Names that are placeholders, in lower case."""

ZIP_CODES = _split("""
000|01234|11111|12345|22222|33333|54321|555|66666|77777|888|98765|99999
""")
"""Beginnings of ZIP codes that are placeholders."""

CANADIAN_CODES = _split("""
A0A 0A0|A1A 1A1|B1B 1B1|C2C 2C2|H0H 0H0|K1A 0A6|X0X 0X0|Y0Y 0Y0|Z0Z 0Z0
""")
"""Canadian postal codes that are placeholders."""

CANADIAN_AREAS = _split("""
H0H|K1A|M7A
""")
"""Canadian areas that are nobody's home, where nothing else is known of the code."""

NUMBERS = _split("""
001-01-0001|001-01-0101|001-01-9999|001-10-0110|001-11-1111|001-12-2334|001-23-4567
|007-77-7777|010-10-1010|011-11-1111|012-34-5678|022-22-2222|055-55-5555|077-77-7777
|087-65-4321|088-88-8888|098-76-5432|099-99-9999|100-10-1000|111-11-1111|111-11-1112
|111-11-1234|111-11-9999|111-22-1111|111-22-2333|111-22-3333|121-21-2121|123-12-1234
|123-12-3123|123-45-1234|123-45-6788|123-45-6789|123-45-6798|123-45-6879|123-45-6987
|123-45-7896|199-99-9999|222-22-2222|222-33-4444|299-99-9999|333-33-3333|399-99-9999
|444-44-4444|454-54-5454|499-99-9999|555-55-5555|599-99-9999|699-99-9999|777-77-7777
|799-99-9999|888-88-8888|899-99-9999
""")
"""Social security numbers that are placeholders."""

_TWINS = """
Æ=AE|æ=ae|Ð=D|ð=d|Ø=O|ø=o|Þ=TH|þ=th|ß=ss|ẞ=SS|Đ=D|đ=d|Ħ=H|ħ=h|ı=i|Ĳ=IJ|ĳ=ij|Ŀ=L|ŀ=l|Ł=L|ł=l
|ŉ=n|Ŋ=NG|ŋ=ng|Œ=OE|œ=oe|Ŧ=T|ŧ=t|ſ=s|Ƒ=F|ƒ=f|Ǆ=DZ|ǅ=Dz|ǆ=dz|Ǉ=LJ|ǈ=Lj|ǉ=lj|Ǌ=NJ|ǋ=Nj|ǌ=nj|Ǳ=DZ
|ǲ=Dz|ǳ=dz|Ǽ=AE|ǽ=ae|Ǿ=O|ǿ=o
"""

LETTERS = dict(pair.split("=") for pair in _TWINS.replace("\n", "").split("|"))
"""Letters that Unicode does not take apart, and what is written for them."""
