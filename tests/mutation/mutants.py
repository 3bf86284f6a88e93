"""The small faults that are put into a page, one at a time.

A fault replaces a piece of the page's own text, so that everything else, line numbers and comments
included, stays as it is. What no run of the package can tell apart is left alone: annotations,
docstrings, what only type checkers read.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

SWAPS: dict[type[ast.AST], type[ast.AST]] = {
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.Div: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
}
"""Which operator stands in for which."""

UNTOLD = {"TYPE_CHECKING", "version_info", "platform"}
"""Conditions that have one answer in a run."""

UNTOLD_NAMES = {"__slots__", "TypeVar"}
"""What an assignment is about that a run cannot tell apart, or cannot do without."""

Change: TypeAlias = tuple[ast.AST, str]
"""A piece of a page, and what is to stand in its place."""


@dataclass(frozen=True, slots=True)
class Mutant:
    """A page with one fault."""

    page: str
    place: str
    """The function or class that it is in, and ``#2`` for the second of its kind there."""

    line: int
    before: str
    after: str
    source: str
    """The whole page, with the fault."""

    @property
    def key(self) -> str:
        """What names it for as long as the function stays the same."""
        return f"{self.page}, {self.place}: {self.before} → {self.after}"


def mutants(page: str, source: str) -> list[Mutant]:
    """Return all mutants of a page, in the order of its text."""
    encoded = source.encode()
    starts = [0]
    for line in encoded.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    found: list[Mutant] = []
    seen: dict[str, int] = {}
    for place, (node, after) in _walk(ast.parse(source)):
        start = starts[node.lineno - 1] + node.col_offset  # type: ignore[attr-defined]
        end = starts[node.end_lineno - 1] + node.end_col_offset  # type: ignore[attr-defined]
        before = " ".join(encoded[start:end].decode().split())
        changed = (encoded[:start] + after.encode() + encoded[end:]).decode()
        name = ".".join(place) or "its top"
        mutant = Mutant(page, name, node.lineno, before, after, changed)  # type: ignore[attr-defined]
        count = seen[mutant.key] = seen.get(mutant.key, 0) + 1
        if count > 1:
            mutant = Mutant(page, f"{name}#{count}", mutant.line, before, after, changed)
        found.append(mutant)
    return sorted(found, key=lambda each: each.line)


def _walk(
    node: ast.AST, place: tuple[str, ...] = (), *, decides: bool = False
) -> Iterator[tuple[tuple[str, ...], Change]]:
    """Yield the changes in a piece of a page, with the names of what it stands in."""
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        if any(
            isinstance(each, ast.Name) and each.id == "overload" for each in node.decorator_list
        ):
            return
        place = (*place, node.name)
    if isinstance(node, ast.If) and _names(node.test) & UNTOLD:
        return
    if isinstance(node, ast.Assign) and _names(*node.targets, node.value) & UNTOLD_NAMES:
        return
    if isinstance(node, (ast.Assign, ast.AnnAssign)) and _is_alias(node):
        return
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return  # a docstring
    for change in _changes(node, decides=decides):
        yield place, change
    for name, value in ast.iter_fields(node):
        if name not in ("annotation", "returns", "bases", "format_spec", "type_params", "ctx"):
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, ast.AST) and not isinstance(node, ast.JoinedStr):
                    decides = name == "test" and isinstance(node, (ast.If, ast.IfExp))
                    yield from _walk(child, place, decides=decides)


def _is_alias(node: ast.Assign | ast.AnnAssign) -> bool:
    """Whether a type is given a name, such as ``Hook``."""
    if isinstance(node, ast.AnnAssign):
        return "TypeAlias" in _names(node.annotation)
    names = [each.id for each in node.targets if isinstance(each, ast.Name)]
    return any(name[0].isupper() and not name.isupper() for name in names)


def _names(*nodes: ast.AST) -> set[str]:
    """Return the names and attributes that some expressions speak of."""
    inner = [each for node in nodes for each in ast.walk(node)]
    return {each.id for each in inner if isinstance(each, ast.Name)} | {
        each.attr for each in inner if isinstance(each, ast.Attribute)
    }


def _changes(node: ast.AST, *, decides: bool) -> Iterator[Change]:
    """Yield what can be done to a single node; *decides*: it is put to True and False already."""
    match node:
        case ast.Expr() | ast.Delete() | ast.Raise() | ast.AugAssign():
            yield node, "pass"
        case ast.Assign(targets=[ast.Attribute() | ast.Subscript(), *_]):
            yield node, "pass"
        case ast.AnnAssign(target=ast.Attribute(), value=ast.expr()):
            yield node, "pass"
        case ast.Return(value=None):
            yield node, "pass"
        case ast.Return(value=ast.expr() as value) if not _is_none(value):
            yield node, "return None"
        case ast.Break():
            yield node, "continue"
        case ast.Continue():
            yield node, "break"
        case ast.If(test=test) | ast.IfExp(test=test):
            yield test, "True"
            yield test, "False"
        case ast.While(test=test) if not isinstance(test, ast.Constant):
            yield test, "False"
        case ast.For(iter=iterated):
            yield iterated, "()"
        case ast.comprehension(ifs=conditions):
            for condition in conditions:
                yield condition, "True"
        case ast.ExceptHandler(type=ast.Tuple(elts=kinds) as whole):
            for kind in kinds:
                left = [ast.unparse(each) for each in kinds if each is not kind]
                yield whole, f"({', '.join(left)},)"
        case ast.ExceptHandler(type=ast.Name(id="BaseException") as kind):
            yield kind, "Exception"
        case ast.Compare(left=left, ops=[operator], comparators=[right]) if (
            not decides or isinstance(operator, (ast.Lt, ast.LtE, ast.Gt, ast.GtE))
        ):
            swapped = ast.Compare(left, [SWAPS[type(operator)]()], [right])  # type: ignore[list-item]
            yield node, f"({ast.unparse(swapped)})"
        case ast.BoolOp(op=operator, values=values):
            for value in values:  # who tells these apart tells `and` from `or` too
                rest = [each for each in values if each is not value]
                kept = rest[0] if len(rest) == 1 else ast.BoolOp(operator, rest)
                yield node, f"({ast.unparse(kept)})"
        case ast.UnaryOp(op=ast.Not(), operand=operand) if not decides:
            yield node, f"({ast.unparse(operand)})"
        case ast.BinOp(left=left, op=operator, right=right) if type(operator) in SWAPS:
            swapped_op = ast.BinOp(left, SWAPS[type(operator)](), right)  # type: ignore[arg-type]
            yield node, f"({ast.unparse(swapped_op)})"
        case ast.Call(args=args, keywords=keywords):
            for keyword in keywords:
                if keyword.arg is not None:
                    rest_of = [each for each in keywords if each is not keyword]
                    yield node, ast.unparse(ast.Call(node.func, args, rest_of))
        case ast.Lambda(body=body) if not _is_none(body):
            yield body, "None"
        case ast.JoinedStr():
            yield node, '"XX"'
        case ast.Constant(value=bool() as value):
            yield node, str(not value)
        case ast.Constant(value=int() | float() as value):
            yield node, repr(value + 1)
        case ast.Constant(value=str() as value):
            yield node, repr(f"XX{value}XX" if value else "XX")


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None
