"""Units of length, mass, time, data and temperature."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import NamedTuple

from aios_syscalls import BadRequest


class Unit(NamedTuple):
    """`value` of it are `value * factor + offset` of its dimension's base unit."""

    dimension: str
    factor: float
    offset: float = 0.0


_SCALED: Mapping[str, Mapping[str, float]] = {
    "length": {
        "nm nanometer nanometre": 1e-9,
        "um micrometer micrometre": 1e-6,
        "mm millimeter millimetre": 1e-3,
        "cm centimeter centimetre": 1e-2,
        "m meter metre": 1,
        "km kilometer kilometre": 1e3,
        "in inch inches": 0.0254,
        "ft foot feet": 0.3048,
        "yd yard": 0.9144,
        "mi mile": 1609.344,
        "nmi": 1852,
    },
    "mass": {
        "mg milligram": 1e-6,
        "g gram": 1e-3,
        "kg kilogram": 1,
        "t tonne": 1e3,
        "oz ounce": 0.028349523125,
        "lb lbs pound": 0.45359237,
        "st stone": 6.35029318,
    },
    "time": {
        "ns nanosecond": 1e-9,
        "us microsecond": 1e-6,
        "ms millisecond": 1e-3,
        "s second sec": 1,
        "min minute": 60,
        "h hour hr": 3600,
        "d day": 86_400,
        "wk week": 604_800,
        "yr year": 31_557_600,
    },
    "data": {
        "bit": 0.125,
        "kbit kilobit": 125,
        "Mb Mbit megabit": 125e3,
        "Gb Gbit gigabit": 125e6,
        "B byte": 1,
        "kB kilobyte": 1e3,
        "MB megabyte": 1e6,
        "GB gigabyte": 1e9,
        "TB terabyte": 1e12,
        "KiB kibibyte": 1024,
        "MiB mebibyte": 1024**2,
        "GiB gibibyte": 1024**3,
        "TiB tebibyte": 1024**4,
    },
}
_TEMPERATURES = {
    "K kelvin": Unit("temperature", 1),
    "C °C celsius": Unit("temperature", 1, 273.15),
    "F °F fahrenheit": Unit("temperature", 5 / 9, 459.67 * 5 / 9),
}
_UNITS = {names: Unit(dimension, factor) for dimension, row in _SCALED.items() for names, factor in row.items()}
UNITS: Mapping[str, Unit] = {
    name: unit for names, unit in (*_UNITS.items(), *_TEMPERATURES.items()) for name in names.split()
}
"""By symbol and by English name in the singular."""


# `mb` is taken for megabytes, which come later than megabits.
_FOLDED = {name.casefold(): unit for name, unit in UNITS.items()}


def unit(name: str, field: str) -> Unit:
    """The unit of that symbol or name, also in the plural or another case. Raises BadRequest about `field`."""
    folded = name.casefold()
    found = UNITS.get(name) or _FOLDED.get(folded) or _FOLDED.get(folded.removesuffix("s"))
    if found:
        return found
    near = get_close_matches(name, UNITS, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(UNITS)}"
    raise BadRequest(f"no unit {name!r}; {hint}", field)


def convert(value: float, source: str, target: str) -> float:
    """`value` of `source` in `target`. Raises BadRequest for an unknown unit or one of another dimension."""
    old, new = unit(source, "arguments.from_unit"), unit(target, "arguments.to_unit")
    if old.dimension != new.dimension:
        why = f"{source} is a unit of {old.dimension} and {target} one of {new.dimension}"
        raise BadRequest(f"{why}; choose two of the same kind", "arguments.to_unit")
    result = (value * old.factor + old.offset - new.offset) / new.factor
    return float(f"{result:.12g}")  # the digits beyond are rounding errors of the factors
