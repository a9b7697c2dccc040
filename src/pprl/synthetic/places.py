"""Dwellings: postcode areas of realistic size, streets and house numbers.

A dwelling is a number; its address is computed from it. Postcode areas (PC4) have their own
number of dwellings, a PC6 has about 17, and a street runs through one or more PC6s.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
import pyarrow as pa

from pprl.synthetic._arrays import Bools, Ints, mix, stream

AREAS = 4070
DWELLINGS = 8_500_000
SPREAD = 0.9
"""Standard deviation of the logarithm of an area's dwellings: a few large, many small."""
PER_PC6 = 17.5
MOST_PC6 = 397

CITIES = (
    "Amsterdam 1011 1109; Almere 1311 1363; Hilversum 1211 1223; Zaandam 1501 1509; "
    "Hoorn 1621 1628; Den Helder 1781 1789; Alkmaar 1811 1827; Haarlem 2011 2037; "
    "Leiden 2311 2334; 's-Gravenhage 2491 2597; Delft 2611 2629; Zoetermeer 2711 2729; "
    "Gouda 2801 2809; Rotterdam 3011 3089; Dordrecht 3311 3329; Utrecht 3511 3585; "
    "Amersfoort 3811 3829; Middelburg 4331 4341; Bergen op Zoom 4611 4625; "
    "Roosendaal 4701 4709; Breda 4811 4839; Tilburg 5011 5049; 's-Hertogenbosch 5211 5249; "
    "Oss 5341 5349; Eindhoven 5611 5658; Helmond 5701 5709; Venlo 5911 5928; "
    "Roermond 6041 6049; Sittard 6131 6137; Maastricht 6211 6229; Heerlen 6411 6422; "
    "Nijmegen 6511 6546; Ede 6711 6718; Arnhem 6811 6846; Apeldoorn 7311 7339; "
    "Deventer 7411 7437; Enschede 7511 7548; Hengelo 7551 7559; Almelo 7601 7614; "
    "Emmen 7811 7828; Zwolle 8011 8045; Lelystad 8211 8245; Leeuwarden 8911 8941; "
    "Assen 9401 9408; Groningen 9711 9747"
)
"""Cities and the postcodes (PC4) taken as theirs; all other places have made-up names."""

_VILLAGE_STARTS = (
    "Ooster Wester Noorder Zuider Nieuw Oud Hoog Laag Berk Eiken Linde Beek Meer Veen Zand "
    "Klein Groot Bosch Heide Duin Wit Zwart Molen Kerk Heer Wolf Vos Haze Rijn Maas Drie Holt "
    "Wijk Loo Elst Kamp Terp Dijk Horst Broek"
).split()
_VILLAGE_ENDINGS = "beek dorp huizen veen wijk hout berg dam kerk rade um zijl lo drecht".split()
_STREET_STARTS = (
    "Kerk Dorps School Molen Juliana Wilhelmina Beatrix Emma Oranje Prins Konings Nieuwe "
    "Stations Haven Markt Hoog Dijk Veld Bos Beuken Eiken Linden Kastanje Berken Esdoorn Wilgen "
    "Populieren Rozen Tulpen Leeuwerik Merel Nachtegaal Zwaluw Meeuwen Vondel Rembrandt "
    "Vermeer Mozart Beethoven Burgemeester Thorbecke Troelstra Industrie Ambacht Smids Bakkers "
    "Boterbloem Klaver Akker Weide Heide Duin Zee Strand Rijn Maas Waal IJssel Vecht Amstel "
    "Dommel Java Sumatra Borneo Ooster Wester Noorder Zuider Kanaal Sluis Brug Vaart Singel "
    "Parallel Ring Park Tuin Klooster Abdij Kapel Pastorie Toren Poort Wal Vest Raadhuis Post "
    "Spoor Fabriek Zilver Goud Koper IJzer Diamant Robijn Saffier Mercurius Jupiter Saturnus"
).split()
_STREET_ENDINGS = "straat weg laan plein hof dreef pad kade singel park".split()

STREETS = pa.array([start + end for end, start in product(_STREET_ENDINGS, sorted(_STREET_STARTS))])
PLACES = pa.array(
    [entry.strip().rsplit(" ", 2)[0] for entry in CITIES.split(";")]
    + [start + end for start, end in product(_VILLAGE_STARTS, _VILLAGE_ENDINGS)]
)
ADDITIONS = pa.array(["A", "B", "C", "D", "1", "2", "3", "bis", "hs"])
_LETTERS = [
    first + second
    for first, second in product("ABCDEGHJKLMNPRSTVWXZ", repeat=2)
    if first + second not in {"SA", "SD", "SS"}
]
_LETTER_CODES = np.array([[ord(letter) for letter in pair] for pair in _LETTERS], np.uint8)


@dataclass(frozen=True)
class Addresses:
    """Addresses in columns; ``street``, ``addition`` (-1: none) and ``place`` are codes."""

    pc4: Ints
    letters: Ints
    street: Ints
    number: Ints
    addition: Ints
    place: Ints

    def postcode(self) -> pa.StringArray:
        """Return the postcodes, as 1234AB."""
        from pprl.synthetic._arrays import digits, text

        return text(np.hstack([digits(self.pc4, 4), _LETTER_CODES[self.letters]]))


class Places:
    """The dwellings that a population of ``persons`` can live in.

    Areas stand in an order of the seed's own, and a population fills them one by one. So a
    small population is a few whole areas of the usual density, not a thin country.
    """

    def __init__(self, persons: int, seed: int) -> None:
        fixed = stream(0, "areas")
        cities = [entry.strip().rsplit(" ", 2) for entry in CITIES.split(";")]
        city = np.full(10_000, -1)
        for code, (_, low, high) in enumerate(cities):
            city[int(low) : int(high) + 1] = code
        rural = fixed.permutation(np.flatnonzero(city[1000:9999] < 0) + 1000)
        urban = np.flatnonzero(city >= 0)
        self.pc4 = np.sort(np.concatenate([urban, rural[: AREAS - len(urban)]]))
        villages = len(PLACES) - len(cities)
        village = len(cities) + (mix(self.pc4 // 2) % np.uint64(villages)).astype(np.int64)
        self.place = np.where(city[self.pc4] >= 0, city[self.pc4], village)
        size = np.exp(SPREAD * fixed.standard_normal(AREAS)) * np.where(
            city[self.pc4] >= 0, 1.8, 1.0
        )
        # The persons of a household, the dead included, are 2.1 or more.
        wanted = max(DWELLINGS, persons / 2.05)
        most = MOST_PC6 * PER_PC6 * wanted / DWELLINGS
        for _ in range(20):
            size = np.clip(size * wanted / size.sum(), 15, most)
        self.order = stream(seed, "areas").permutation(AREAS)
        self.size = size[self.order].astype(np.int64) + 1
        self.end = np.cumsum(self.size)
        self.total = int(self.end[-1])

    def area(self, dwelling: Ints) -> Ints:
        """Return the area of each dwelling: a place in ``order``."""
        return np.searchsorted(self.end, dwelling, "right")

    def urban(self, dwelling: Ints) -> Bools:
        """Say which dwellings are in a city."""
        cities = CITIES.count(";") + 1
        return self.place[self.order[self.area(dwelling)]] < cities

    def addresses(self, dwelling: Ints) -> Addresses:
        """Compute the address of each dwelling."""
        area = self.area(dwelling)
        number = self.order[area]
        pc4, place = self.pc4[number], self.place[number]
        size = self.size[area]
        inside = dwelling - (self.end[area] - size)
        pc6s = np.clip((size / PER_PC6).astype(np.int64), 1, MOST_PC6)
        pc6 = inside * pc6s // size
        position = inside - -(-pc6 * size // pc6s)
        street_of = pc4 * 1000 + pc6 // 3
        draw = (mix(street_of) >> np.uint64(40)).astype(np.float64) / 2**24
        street = (len(STREETS) * draw**1.6).astype(np.int64)
        kind = (mix(pc4 * 1000 + pc6 + 7_000_000) % np.uint64(100)).astype(np.int64)
        flats = kind < np.where(place < CITIES.count(";") + 1, 30, 8)
        start = 1 + pc6 % 3 * 40 + kind % 2
        house = np.where(flats, start + 2 * (position // 4), start + 2 * position)
        floor = np.where(kind % 3 == 0, 3, -1) + position % 4
        addition = np.where(flats & (position % 4 > 0), floor, -1)
        single = ~flats & (kind > 90) & (position % 9 == 5)
        return Addresses(pc4, pc6, street, house, np.where(single, 0, addition), place)
