"""Texts that mean that nothing is known, as registries and their software write them.

Only what is hardly ever a name or initials is here. What may be (Geen, Brak, Nil, NA) is
found by `pprl schema suggest` when it is far too frequent, and listed in ``missing_codes``.
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

_WORDS = """
unknown|not known|not recorded|not stated|not available|not applicable|no name|no data
|unspecified|undisclosed|withheld|missing value
|onbekend|niet bekend|niet ingevuld|niet van toepassing|geen opgave
|unbekannt|nicht bekannt|keine angabe|entfällt|ohne angabe|nicht angegeben
|inconnu|inconnue|non renseigné|non renseigne|non communiqué|non précisé|sans objet
|desconocido|desconocida|no consta|sin datos|sin dato|no aplica|se desconoce
|desconhecido|desconhecida|não consta|não aplicável|sem dados
|sconosciuto|sconosciuta|non noto|non nota|non disponibile
|nieznany|nieznana|nieznane|brak danych|nie dotyczy|nie podano
|bilinmiyor|bilinmeyen|belirtilmemiş
|okänd|okänt|uppgift saknas|ej känd|ukendt|ikke oplyst|ukjent|ikke kjent
|tuntematon|ei tiedossa|ei tietoa|neznámý|neznámá|neznámé|neuvedeno|neuvedené
|ismeretlen|nincs adat|necunoscut|necunoscută|nu se cunoaște|fără date
|nepoznato|nepoznata|neznana|neznano|nežinoma|nežināms|nezināms|nezināma
|teadmata|tundmatu|andmed puuduvad|неизвестен|неизвестна|неизвестно|άγνωστος|άγνωστη|άγνωστο
|mhux magħruf|anaithnid|ni fios
|no last name|no first name|no surname|unknown unknown|unkn|not specified|not provided|missing data
|geen achternaam|geen voornaam|naam onbekend|onbek|wordt nagezocht|ontbreekt|niet opgegeven
|niet geregistreerd|niet beschikbaar|fehlt|nicht vorhanden|manquant|non indiqué|sans nom
|inconnu(e|non applicable|sin especificar|no especificado|no informado|no disponible
|não informado|não especificado|non specificato|mancante|nie określono|boş bırakıldı|yok bilgi
|desconegut|desconeguda|không rõ|невідомо|не указано|непознат|непозната
"""
_EXACT = """
NULL|null|(null)|(NULL)|<null>|<NULL>|[NULL]|None|NaN|nan|NaT|<NA>|#N/A|#NA|#NULL!|#VALUE!|#REF!
|#DIV/0!|#NAME?|N/A|n/a|s/d|S/D|nvt|n.v.t.|nnb|n.n.b.|\\N|\\\\N|undefined|UNDEFINED
|#NV|#N/B|#N/D|(leeg)|(blank)|(vide)|(leer)|(empty)|[null]|{null}|NVT|UNK|ASKU|n/b|s/n|S/N
|k.A.|o.A.|XXXXX|XXXXXX|xxxxx|xxxxxx|xx|XX|xxx|XXX|xxxx|XXXX|zzz|ZZZ|zzzz|ZZZZ|0000|00000|000000|0000000|00000000|000000000|0000000000
|00000000000|99999999|999999999|9999999999
|+31000000000|0600000000|0612345678|123456789|1234567890
"""


_BARE = " -_.,;:?!*#/\\|+=~'\"()[]{}<>\u2026\u00bf"
"""Marks that say nothing when nothing else is there."""


def _split(text: str) -> pa.StringArray:
    return pa.array(list(dict.fromkeys("".join(text.split("\n")).split("|"))), pa.string())


NOTHING = _split(_WORDS)
"""Words that mean nothing in any case, with or without marks around them; in lower case."""
NOTHING_AS_WRITTEN = _split(_EXACT)
"""Texts that mean nothing as they are written; in another case they may be a name."""


def means_nothing(values: pa.StringArray) -> pa.BooleanArray:
    """Tell which texts mean that nothing is known; null stays null.

        >>> means_nothing(pa.array(["Onbekend", "?", "Bekker", "NULL"])).to_pylist()
        [True, True, False, True]

    A text of marks alone (``-``, ``?``, ``...``) means nothing, too.
    """
    inner = pc.utf8_trim(values, _BARE)
    listed = pc.or_(pc.is_in(values, NOTHING_AS_WRITTEN), pc.is_in(pc.utf8_lower(inner), NOTHING))
    bare = pc.equal(inner, "")
    return pc.or_(listed, pc.and_(bare, pc.not_equal(values, "")))
