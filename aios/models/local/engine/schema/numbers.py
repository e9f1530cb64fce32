"""Numbers between bounds, as languages of their decimal digits without a sign."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from aios.models.local.engine.schema import characters as sets
from aios.models.local.engine.schema.language import Cut, Language, Move, RegularLanguage
from aios.models.local.engine.schema.regex import parse

MOST_DIGITS = 15
"""So many digits every double keeps: what is written with them is read as a number on the same side of each bound."""
USUAL_DIGITS = 9
"""Digits before the point of a number without a bound on that side."""
WIDEST_INTEGER = 16
"""Digits of an integer without a bound on that side."""

MOST_ROUNDED = Fraction(2**22)
"""Up to here a double and a quotient of it are off by 2**-53 of it each, together by less than 1e-9.

That is what pydantic tolerates of a multiple of what no double has exactly, such as 0.01.
"""


@dataclass(frozen=True, slots=True)
class Interval:
    """Numbers from `low` to `high`, without an end where that is None, without the bound itself where it is open."""

    low: Fraction | None = None
    high: Fraction | None = None
    open_low: bool = False
    open_high: bool = False

    def above(self, bound: Fraction, is_open: bool) -> Interval:
        """What of it is above a bound."""
        if self.low is not None and (bound, is_open) <= (self.low, self.open_low):
            return self
        return Interval(bound, self.high, is_open, self.open_high)

    def below(self, bound: Fraction, is_open: bool) -> Interval:
        """What of it is below a bound."""
        if self.high is not None and (bound, not is_open) >= (self.high, not self.open_high):
            return self
        return Interval(self.low, bound, self.open_low, is_open)

    def has(self, value: Fraction) -> bool:
        """Whether a number is in it."""
        low = self.low is None or (self.low < value if self.open_low else self.low <= value)
        return low and (self.high is None or (value < self.high if self.open_high else value <= self.high))

    @property
    def bounded(self) -> bool:
        """Whether it has a bound at all."""
        return self.low is not None or self.high is not None

    @property
    def empty(self) -> bool:
        """Whether nothing is in it."""
        if self.low is None or self.high is None:
            return False
        return self.low > self.high or (self.low == self.high and (self.open_low or self.open_high))

    def integers(self) -> tuple[int | None, int | None]:
        """The first and the last integer in it."""
        first = None if self.low is None else -(-self.low // 1) + (self.open_low and self.low.denominator == 1)
        last = None if self.high is None else self.high // 1 - (self.open_high and self.high.denominator == 1)
        return first, last

    def mirrored(self) -> Interval:
        """The same with the other sign."""
        low, high = (None if each is None else -each for each in (self.high, self.low))
        return Interval(low, high, self.open_high, self.open_low)


def within_tolerance(interval: Interval, factors: Iterable[Fraction]) -> Interval:
    """What of an interval is small enough for multiples of factors that are rounded; all if no multiple is so small."""
    rounded = [factor for factor in factors if factor.denominator & (factor.denominator - 1)]
    small = interval.above(-MOST_ROUNDED, is_open=False).below(MOST_ROUNDED, is_open=False)
    for factor in rounded:
        first = Fraction(0) if interval.low is None else -(-interval.low // factor) * factor
        last = Fraction(0) if interval.high is None else interval.high // factor * factor
        if not any(small.has(each) for each in (first, first + factor, last, last - factor)):
            return interval
    return small if rounded else interval


class Compared:
    """Decimal numbers that are below (-1), equal to (0) or above (1) a bound, which is no less than 0."""

    ascii = True
    start = (0, 0, -1)

    def __init__(self, bound: Fraction, allowed: Iterable[int]) -> None:
        self._whole, self._places = str(bound // 1), _places(bound)
        self._allowed = frozenset(allowed)

    def moves(self, state: tuple[int, int, int]) -> list[Move]:
        """A state is how the digits compare so far, how many there were before the point, and since it; else -1."""
        order, digits, places = state
        if places < 0:
            found: list[Move] = [(sets.one("."), (self._by_length(order, digits), 0, 0))]
            return found + list(self._digits(order, self._whole[digits : digits + 1], (min(digits + 1, 99), -1)))
        return list(self._digits(order, self._places[places : places + 1] or "0", (0, min(places + 1, 99))))

    def _digits(self, order: int, against: str, after: tuple[int, int]) -> Iterator[Move]:
        for digit in "0123456789":
            compared = order or (digit > against) - (digit < against)
            yield sets.one(digit), (compared, *after)

    def _by_length(self, order: int, digits: int) -> int:
        longer = (digits > len(self._whole)) - (digits < len(self._whole))
        return longer or order

    def ends(self, state: tuple[int, int, int]) -> bool:
        order, digits, places = state
        if places < 0:
            order, places = self._by_length(order, digits), 0
        # Places that are not written are zeros.
        return (order or (-1 if self._places[places:].strip("0") else 0)) in self._allowed


def between(interval: Interval, digits: str, excluded: Iterable[Fraction], more: Iterable[Language]) -> Cut:
    """The numbers of an interval that an expression for their digits matches, from 0 on."""
    within: list[Language] = [RegularLanguage(parse(f"^(?:{digits})$"), whole=True), *more]
    if interval.low is not None and interval.low >= 0:
        within.append(Compared(interval.low, (1,) if interval.open_low else (0, 1)))
    if interval.high is not None:
        within.append(Compared(interval.high, (-1,) if interval.open_high else (-1, 0)))
    return Cut(within, [Compared(value, (0,)) for value in excluded if value >= 0])


def positive(interval: Interval) -> Interval | None:
    """What of an interval is not below 0; None for nothing."""
    half = interval.above(Fraction(0), is_open=False)
    return None if half.empty else half


def negative(interval: Interval) -> Interval | None:
    """What of an interval is below 0, with the other sign; None for nothing."""
    half = interval.below(Fraction(0), is_open=True).mirrored()
    return None if half.empty else half


def integer_digits(interval: Interval) -> str:
    """How an integer of an interval is written."""
    widths = [len(str(bound // 1)) + 1 for bound in (interval.low, interval.high) if bound is not None]
    width = max([*widths, 1]) if interval.high is not None else max([*widths, WIDEST_INTEGER])
    return f"0|[1-9][0-9]{{0,{width - 1}}}"


def decimal_digits(interval: Interval, whole: bool) -> str | None:
    """How a number of an interval is written; without `whole` no integers. None if it has too many digits for that."""
    digits = max(len(str(bound // 1)) for bound in (interval.low, interval.high, Fraction(0)) if bound is not None)
    digits = digits if interval.high is not None else max(digits + 1, USUAL_DIGITS)
    places = MOST_DIGITS - digits
    if places < 1:
        return None
    behind = f"(?:\\.[0-9]{{1,{places}}})?" if whole else f"\\.[0-9]{{0,{places - 1}}}[1-9]"
    return f"(?:0|[1-9][0-9]{{0,{digits - 1}}}){behind}"


ANY_DECIMAL = r"(?:0|[1-9][0-9]{0,15})(?:\.[0-9]{1,16})?(?:[eE][+-]?[0-9]{1,2})?"


def _places(value: Fraction) -> str:
    """The digits behind the point."""
    rest, digits = value - value // 1, ""
    while rest:
        rest *= 10
        digits += str(rest // 1)
        rest -= rest // 1
    return digits


def decimal_of(value: float) -> Fraction:
    """A number of a schema as it is written there, not as a double has it."""
    return Fraction(value) if isinstance(value, int) else Fraction(Decimal(repr(value)))
