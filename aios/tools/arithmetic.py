"""Arithmetic in Python's notation, without eval and without an expression that runs for ever."""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Mapping

from aios_syscalls import BadRequest

Number = int | float

MAX_CHARACTERS = 1000
MAX_DEPTH = 400
MAX_BITS = 10_000
"""Of an integer, about 3000 digits."""

CONSTANTS: Mapping[str, float] = {"pi": math.pi, "e": math.e, "tau": math.tau}
UNARY: Mapping[type[ast.unaryop], Callable[[Number], Number]] = {ast.UAdd: operator.pos, ast.USub: operator.neg}


def _power(base: Number, exponent: Number) -> Number:
    if isinstance(base, int) and isinstance(exponent, int) and (abs(base) - 1).bit_length() * exponent > MAX_BITS:
        raise OverflowError
    result = base**exponent
    if isinstance(result, complex):
        raise ValueError("the result is not a real number")
    return result


def _round(value: Number, digits: Number = 0) -> Number:
    if not isinstance(digits, int) or abs(digits) > 100:
        raise ValueError("round takes at most 100 digits")
    return round(value, digits) if digits else round(value)


BINARY: Mapping[type[ast.operator], Callable[[Number, Number], Number]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: _power,
}
FUNCTIONS: Mapping[str, Callable[..., Number]] = {
    "abs": abs,
    "ceil": math.ceil,
    "cos": math.cos,
    "exp": math.exp,
    "floor": math.floor,
    "log": math.log,
    "log10": math.log10,
    "log2": math.log2,
    "max": lambda *values: max(values),
    "min": lambda *values: min(values),
    "round": _round,
    "sin": math.sin,
    "sqrt": math.sqrt,
    "tan": math.tan,
}
KNOWN = ", ".join((*FUNCTIONS, *CONSTANTS))


def evaluate(expression: str) -> Number:
    """The value of an expression of numbers, + - * / // % **, parentheses, FUNCTIONS and CONSTANTS.

    Raises BadRequest for anything else, and for what has no finite real value or one of over MAX_BITS bits.
    """
    if len(expression) > MAX_CHARACTERS:
        raise _refusal(f"it has {len(expression)} characters, and {MAX_CHARACTERS} is the limit")
    try:
        return _value(ast.parse(expression.strip(), mode="eval").body, MAX_DEPTH)
    except ZeroDivisionError:
        raise _refusal("it divides by zero") from None
    except OverflowError:
        raise _refusal("a number in it is too large") from None
    except SyntaxError as error:
        raise _refusal(error.msg) from None
    except (TypeError, ValueError, RecursionError, MemoryError) as error:
        raise _refusal(str(error)) from None


def _value(node: ast.expr, depth: int) -> Number:
    if depth == 0:
        raise ValueError(f"it is nested more than {MAX_DEPTH} deep")
    match node:
        case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
            result: Number = number
        case ast.Name(id=name) if name in CONSTANTS:
            result = CONSTANTS[name]
        case ast.UnaryOp(op=sign, operand=operand) if type(sign) in UNARY:
            result = UNARY[type(sign)](_value(operand, depth - 1))
        case ast.BinOp(left=left, op=sign, right=right) if type(sign) in BINARY:
            result = BINARY[type(sign)](_value(left, depth - 1), _value(right, depth - 1))
        case ast.Call(func=ast.Name(id=name), args=args, keywords=[]) if name in FUNCTIONS:
            result = FUNCTIONS[name](*(_value(argument, depth - 1) for argument in args))
        case _:
            raise ValueError(f"{ast.unparse(node)[:60]} is no number, none of + - * / // % ** and none of {KNOWN}")
    return _bounded(result)


def _bounded(number: Number) -> Number:
    if isinstance(number, int):
        if number.bit_length() > MAX_BITS:
            raise OverflowError
    elif not math.isfinite(number):
        raise OverflowError
    return number


def _refusal(why: str) -> BadRequest:
    return BadRequest(f"cannot evaluate the expression: {why}; correct it", "arguments.expression")
