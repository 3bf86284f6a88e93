"""Draw a state machine, as Mermaid text or as a picture in SVG.

A diagram is what there is to draw, in the words of the reader: names of states, and arrows with
labels. Its makers know the machine and nothing of drawing; this page knows drawing and nothing of
machines. Both forms depend on the diagram alone, so the same diagram gives the same bytes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from math import ceil, hypot
from unicodedata import combining, east_asian_width
from xml.sax.saxutils import escape, quoteattr

from ._layout import Box, Link, Path, lay_out


@dataclass(frozen=True, slots=True)
class Arrow:
    """One way from a state to another, or back to itself."""

    source: str
    dest: str
    label: str


@dataclass(frozen=True, slots=True)
class Diagram:
    """What there is to draw; *initial*, *final* and the arrows name only states that are listed."""

    title: str
    states: tuple[str, ...]
    initial: str
    final: frozenset[str]
    arrows: tuple[Arrow, ...]


# Mermaid

_PLAIN = re.compile(r"[a-z]\w*", re.ASCII | re.IGNORECASE)
# Our own aliases, the words of Mermaid, and what every object of JavaScript has already.
_TAKEN = re.compile(
    r"s\d+|root|root_(start|end)|acc(title|descr)|as|choice|class|classdef|click|default|direction"
    r"|end|fork|hide|href|join|note|scale|state|statediagram|style|constructor|hasownproperty"
    r"|isprototypeof|propertyisenumerable|to(locale)?string|valueof",
    re.IGNORECASE,
)
# Even inside of a text, Mermaid finds "direction LR", "[[fork]]", and emphasis in "_this_".
_UNSAFE = re.compile(r"[^\w ,.()\[\]-]|(?<=direction) |(?<=\[)\[|(?<![^\W_])_", re.IGNORECASE)


def mermaid(diagram: Diagram) -> str:
    """Return the diagram as Mermaid's ``stateDiagram-v2``, one line for each arrow."""
    ids = {
        name: name if _PLAIN.fullmatch(name) and not _TAKEN.fullmatch(name) else f"s{number}"
        for number, name in enumerate(diagram.states)
    }
    mentioned = {diagram.initial, *diagram.final}
    mentioned |= {name for arrow in diagram.arrows for name in (arrow.source, arrow.dest)}
    title = json.dumps(_clean(diagram.title), ensure_ascii=False)  # JSON's strings are YAML's
    lines = [] if title == '""' else ["---", f"title: {title}", "---"]
    lines += ["stateDiagram-v2", "    direction LR"]
    for name, alias in ids.items():
        if alias != name:
            lines.append(f'    state "{_safe(name) or "#160;"}" as {alias}')
        elif name not in mentioned:
            lines.append(f"    {name}")
    lines.append(f"    [*] --> {ids[diagram.initial]}")
    for arrow in diagram.arrows:
        label = _safe(arrow.label)
        lines.append(f"    {ids[arrow.source]} --> {ids[arrow.dest]}" + (label and f": {label}"))
    lines += [f"    {ids[name]} --> [*]" for name in diagram.states if name in diagram.final]
    return "\n".join(lines) + "\n"


def _safe(text: str) -> str:
    """Return text in which every sign that could mean something to Mermaid is a number."""
    return _UNSAFE.sub(lambda sign: f"#{ord(sign[0])};", _clean(text))


def _clean(text: str) -> str:
    """Return text as one line, with what no document may hold replaced by U+FFFD."""
    return re.sub("[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]", "\ufffd", " ".join(text.split()))


# SVG

_FONT = "ui-sans-serif, system-ui, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
_PAPER, _RIM, _CARD = "#f8fafc", "#e2e8f0", "#ffffff"
_INK, _PEN, _THREAD = "#0f172a", "#334155", "#64748b"
_NAME, _LABEL, _LINE = 13.0, 12.0, 16.0  # size of names and labels, and from label to label
_STATE = (92.0, 42.0)  # the smallest
_BESIDE_NAME, _BESIDE_LABEL = 16.0, 5.0


def svg(diagram: Diagram) -> str:
    """Return the diagram as an SVG document of its own, to be read on light and dark pages alike.

    States stand in columns by their distance from the initial one, and final states in the last.
    Arrows from one state to the same other are one line with several labels.
    """
    merged: dict[tuple[str, str], list[str]] = {}
    for arrow in diagram.arrows:
        stack = merged.setdefault((arrow.source, arrow.dest), [])
        stack += filter(None, [_clean(arrow.label)])
    links = [Link(*ends, *_extent(stack)) for ends, stack in merged.items()]
    names = {name: _clean(name) for name in diagram.states}
    sizes = {
        name: (max(_width(text, _NAME) + 2 * _BESIDE_NAME, _STATE[0]), _STATE[1])
        for name, text in names.items()
    }
    layout = lay_out(sizes, diagram.initial, diagram.final, links)
    states = (
        _state(names[name], box, final=name in diagram.final) for name, box in layout.states.items()
    )
    stacks = zip(layout.labels, merged.values(), strict=True)
    labels = (_labels(box, stack) for box, stack in stacks if stack)
    paths = [layout.entry, *layout.paths]
    width, height = ceil(layout.width), ceil(layout.height)
    return _tag(
        "svg",
        _tag("title", escape(_clean(diagram.title) or "State diagram")),
        _rect(0.5, 0.5, width - 1, height - 1, rx=12, fill=_PAPER, stroke=_RIM),
        _tag("g", *map(_line, paths), fill="none", stroke=_THREAD, stroke_width=1.4),
        _tag("g", *map(_head, paths), fill=_THREAD),
        _dot(layout.entry),
        _tag("g", *labels, fill=_PEN, font_size=_LABEL),
        _tag("g", *states, fill=_CARD, stroke=_PEN, stroke_width=1.5, font_size=_NAME),
        xmlns="http://www.w3.org/2000/svg",
        role="img",
        viewBox=f"0 0 {width} {height}",
        width=width,
        style="max-width: 100%",
        font_family=_FONT,
        text_anchor="middle",
    )


def _line(path: Path) -> str:
    return _tag("path", d=" ".join(command + _listed(points) for command, points in path))


def _head(path: Path) -> str:
    """Return the head of an arrow: a triangle on the last stretch of its path."""
    (x0, y0), (x, y) = [point for _, points in path for point in points][-2:]
    length = hypot(x - x0, y - y0)
    along, down = 9 * (x - x0) / length, 9 * (y - y0) / length
    left = (x - along + 0.45 * down, y - down - 0.45 * along)
    right = (x - along - 0.45 * down, y - down + 0.45 * along)
    return _tag("polygon", points=_listed([(x, y), left, right]))


def _dot(entry: Path) -> str:
    ((x, y),) = entry[0][1]
    return _tag("circle", cx=x, cy=y, r=6, fill=_PEN)


def _labels(box: Box, labels: list[str]) -> str:
    """Return the labels of a line, one below the other on ground of their own."""
    width, height = _extent(labels)
    top = box.y - height / 2
    return _tag(
        "g",
        _rect(box.x - width / 2, top, width, height, fill=_PAPER),
        *(_text(box.x, top + _LINE * (i + 0.5), label, _LABEL) for i, label in enumerate(labels)),
        class_="jobstate-label",
    )


def _state(name: str, box: Box, *, final: bool) -> str:
    """Return a rounded box with a name in it; a final state has a double border."""
    left, top = box.x - box.width / 2, box.y - box.height / 2
    return _tag(
        "g",
        *(
            _rect(left + i, top + i, box.width - 2 * i, box.height - 2 * i, rx=9 - i)
            for i in ((0.0, 3.5) if final else (0.0,))
        ),
        _text(box.x, box.y, name, _NAME, font_weight=600, fill=_INK, stroke="none"),
        class_="jobstate-state",
    )


def _rect(x: float, y: float, width: float, height: float, **attributes: object) -> str:
    return _tag("rect", x=x, y=y, width=width, height=height, **attributes)


def _text(x: float, y: float, text: str, size: float, **attributes: object) -> str:
    """Return a line of text whose middle is at this point."""
    return _tag("text", escape(text), x=x, y=y + 0.35 * size, **attributes)


def _tag(name: str, *inside: str, **attributes: object) -> str:
    """Return an element; an underscore in the name of an attribute stands for a dash."""
    words = [name]
    for key, value in attributes.items():
        text = f"{value:.1f}" if isinstance(value, float) else str(value)
        words.append(f"{key.rstrip('_').replace('_', '-')}={quoteattr(text)}")
    return f"<{' '.join(words)}>{''.join(inside)}</{name}>"


def _listed(points: Iterable[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)


def _extent(labels: list[str]) -> tuple[float, float]:
    """Return the size of a stack of labels; that of none is nothing."""
    widths = [_width(label, _LABEL) + 2 * _BESIDE_LABEL for label in labels]
    return max(widths, default=0.0), _LINE * len(labels)


def _width(text: str, size: float) -> float:
    """Return about how wide a text is, and rather more than less: fonts differ."""
    return size * sum(map(_ems, text))


def _ems(sign: str) -> float:
    if combining(sign):
        return 0.0
    if east_asian_width(sign) in "WF":
        return 1.1
    if sign in " !'(),./:;I[]fijlrt{|}":
        return 0.41
    return 0.95 if sign in "%@MWmw" else 0.73 if sign.isupper() else 0.62
