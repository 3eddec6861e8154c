"""Kibana's Lens formulas, such as `count(kql='is_bot: true') / count()`: arithmetic of figures.

They are valid Python expressions, so Python's own parser reads them. Known are + - * /, numbers, parentheses and the
functions of FUNCTIONS, each of a field (`count` of none) and, if wanted, of the documents that a `kql` finds.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from kibana.dashboards import DashboardError

FUNCTIONS = ("count", "sum", "average", "min", "max", "median", "unique_count", "standard_deviation")

_OPERATORS: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


class FormulaError(DashboardError):
    """The text is no formula that is known here; the message says which part."""


@dataclass(frozen=True)
class Call:
    """One function of a formula: `field` is None for a count of documents, `kql` empty for all documents."""

    function: str
    field: str | None
    kql: str


@dataclass(frozen=True)
class Formula:
    """A parsed formula: `calls` are the figures that it needs."""

    text: str
    tree: ast.expr
    calls: tuple[Call, ...]

    def value(self, figures: Mapping[Call, float | None]) -> float | None:
        """The result; None where a figure is missing or something is divided by zero."""
        try:
            return _value(self.tree, figures)
        except (TypeError, ZeroDivisionError):
            return None


def parse(text: str) -> Formula:
    """Raises FormulaError."""
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except SyntaxError as error:
        raise FormulaError(f"`{text}` is no formula: {error.msg}.") from None
    calls: list[Call] = []
    _collect(text, tree, calls)
    return Formula(text, tree, tuple(dict.fromkeys(calls)))


def _collect(text: str, node: ast.expr, calls: list[Call]) -> None:
    match node:
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
            _collect(text, left, calls)
            _collect(text, right, calls)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            _collect(text, operand, calls)
        case ast.Constant(value=int() | float()):
            pass
        case ast.Call():
            calls.append(_call(text, node))
        case _:
            raise FormulaError(f"`{text}`: `{ast.unparse(node)}` is not known here.")


def _call(text: str, node: ast.Call) -> Call:
    name = ast.unparse(node.func)
    if name not in FUNCTIONS:
        raise FormulaError(f"`{text}`: the function `{name}` is not known here, only {', '.join(FUNCTIONS)}.")
    given = {each.arg: each.value.value for each in node.keywords if isinstance(each.value, ast.Constant)}
    if set(given) - {"kql"} or len(given) != len(node.keywords) or len(node.args) > 1:
        raise FormulaError(f"`{text}`: `{name}` takes a field and a `kql='…'`.")
    field = ast.unparse(node.args[0]) if node.args else None
    if field is None and name != "count":
        raise FormulaError(f"`{text}`: `{name}` of which field?")
    return Call(name, field, str(given.get("kql", "")))


def _value(node: ast.expr, figures: Mapping[Call, float | None]) -> float:
    match node:
        case ast.BinOp(left=left, op=op, right=right):
            return _OPERATORS[type(op)](_value(left, figures), _value(right, figures))
        case ast.UnaryOp(operand=operand):
            return -_value(operand, figures)
        case ast.Constant(value=int() | float() as number):
            return number
        case ast.Call():
            return figures[_call("", node)]  # type: ignore[return-value]  # None ends in the TypeError that is caught
    raise AssertionError("parse() has refused all else")
