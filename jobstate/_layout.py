"""Where the boxes of a diagram stand, and how the links between them run.

The method is Sugiyama's: states in columns from left to right, an order within each column that
crosses few links, then coordinates that keep the links straight. Labels have columns of their own
between those of the states, and a link leaves a bend in every column that it only passes. Labels
and bends find their places as states do, and links curve only in the gaps between columns, all
over the same stretch. So no link runs through a box, no label lies on another, and two links cross
only where their order says so, whatever the machine looks like.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from math import fsum, inf
from random import Random

Point = tuple[float, float]
Path = list[tuple[str, tuple[Point, ...]]]  # commands of SVG: an M, then C and L, at last an L
Columns = list[list["Box"]]

_MARGIN = 24.0  # around the drawing
_ENTRY = 40.0  # length of the arrow into the initial state
_LEAD = 16.0  # a link runs straight for so long where it meets a state
_PORT = 14.0  # between two links on one side of a box
_LOOP = 28.0  # height of a loop, from its state to its label
_TURN = 10.0  # depth of the turn that a link makes beside its label to come back
_GAP = (36.0, 100.0)  # least and most room between two columns, for links to curve in
_STEP = 2.0  # a smaller step is drawn without a curve
_VISITS = 100_000  # boxes that a search comes to, pass by pass: a large drawing gets few passes
_ORDERS = (4, 384)  # least and most passes over the orders
_SWEEPS = 12  # passes before an order is shuffled, to begin with another
_ROUNDS = (8, 200)  # least and most passes over the heights; the second half only straightens


@dataclass(frozen=True, slots=True)
class Link:
    """What is to be drawn from one state to another, with the size of its label."""

    source: str
    dest: str
    width: float
    height: float


@dataclass(slots=True, eq=False)
class Run:
    """The boxes of one link, to be kept level; or one state."""

    length: int = 1
    level: float = 0.0  # the mean of their heights
    weight: float = 1.0  # how much it counts where boxes get in each other's way
    ties: list[Wire] = field(default_factory=list)  # the wires that leave the run
    pulls: list[tuple[Box, float]] = field(default_factory=list)
    """The boxes that they lead to, and how far below one the run is level with it."""


@dataclass(slots=True, eq=False)
class Box:
    """What takes room in a column: a state, a label, or the bend of a link that passes."""

    column: int
    width: float = 0.0
    height: float = 0.0
    margin: float = 7.0  # kept free above and below
    headroom: float = 0.0  # taken above, by a loop and its label
    room: float = 0.0  # taken from side to side, where that is more than the width
    x: float = 0.0  # of the centre
    y: float = 0.0
    place: float = 0.0  # in the order of its column: near 0 at the top, near 1 at the bottom
    before: list[Wire] = field(default_factory=list)
    after: list[Wire] = field(default_factory=list)
    run: Run = field(default_factory=Run)
    below: float = 0.0  # how far from the top of its column, where that is packed close

    @property
    def top(self) -> float:
        return self.y - self.height / 2 - self.headroom

    @property
    def bottom(self) -> float:
        return self.y + self.height / 2


@dataclass(slots=True, eq=False)
class Wire:
    """The part of a link between two neighbouring columns."""

    left: Box
    right: Box
    left_port: float = 0.0  # where it meets the box, below its centre
    right_port: float = 0.0

    @property
    def left_y(self) -> float:
        return self.left.y + self.left_port

    @property
    def right_y(self) -> float:
        return self.right.y + self.right_port


@dataclass(frozen=True, slots=True)
class Layout:
    """A diagram in coordinates: a box for each state, a label and a path for each link."""

    width: float
    height: float
    states: Mapping[str, Box]
    labels: Sequence[Box]
    paths: Sequence[Path]
    entry: Path


def lay_out(
    sizes: Mapping[str, Point], initial: str, final: frozenset[str], links: Sequence[Link]
) -> Layout:
    """Return coordinates for states of these sizes, in this order, and for the links between."""
    ranks = _ranks(sizes, initial, final, links)
    states = {name: Box(2 * ranks[name], *size, margin=15.0) for name, size in sizes.items()}
    threads = [_thread(states[link.source], states[link.dest], link) for link in links]
    boxes = [*states.values(), *(stop for stops, wires in threads if wires for stop in stops)]
    columns: Columns = [[] for _ in range(1 + max(box.column for box in boxes))]
    for box in boxes:
        columns[box.column].append(box)
    passes = _VISITS // len(boxes)
    _order(columns, _within(_ORDERS, passes))
    _attach(columns)
    _align(columns, _within(_ROUNDS, passes))
    bounds = _spread(columns)
    top = min(box.top for box in boxes)
    for box in boxes:
        box.y += _MARGIN - top
    paths = [
        _route(states[link.source], wires, bounds)
        if wires
        else _loop(states[link.source], stops[0])
        for link, (stops, wires) in zip(links, threads, strict=True)
    ]
    return Layout(
        width=max(box.x + max(box.width, box.room) / 2 for box in boxes) + _MARGIN,
        height=max(box.bottom for box in boxes) + _MARGIN,
        states=states,
        labels=[stops[0] for stops, _ in threads],
        paths=paths,
        entry=_entry(states[initial]),
    )


def _within(bounds: tuple[int, int], number: int) -> int:
    return max(bounds[0], min(number, bounds[1]))


def _ranks(
    states: Iterable[str], initial: str, final: frozenset[str], links: Sequence[Link]
) -> dict[str, int]:
    """Return each state's distance from the initial one; final states come last, together."""
    onward: dict[str, list[str]] = {
        state: [] for state in states if state == initial or state not in final
    }
    for link in links:
        if link.source in onward and link.dest in onward:
            onward[link.source].append(link.dest)
    ranks: dict[str, int] = {}
    for root in (initial, *onward):  # a state that cannot be reached is a root of its own
        ranks.setdefault(root, 0)
        queue = [root]
        for state in queue:
            for dest in onward[state]:
                if dest not in ranks:
                    ranks[dest] = ranks[state] + 1
                    queue.append(dest)
    last = max(ranks.values()) + 1
    return ranks | {state: last for state in states if state not in ranks}


def _thread(source: Box, dest: Box, link: Link) -> tuple[list[Box], list[Wire]]:
    """Return a link's label with its bends, and its wires from source to dest; a loop has none."""
    if source is dest:
        source.headroom = _LOOP + link.height
        source.room = link.width
        return [Box(source.column, link.width, link.height)], []
    step = 1 if dest.column >= source.column else -1
    run = Run()
    label = Box(source.column + step, link.width, link.height, run=run)
    if source.column == dest.column:
        label.room = link.width + 2 * _TURN
    stops = [label, *(Box(c, run=run) for c in range(label.column + step, dest.column, step))]
    wires = [
        Wire(one, other) if one.column < other.column else Wire(other, one)
        for one, other in pairwise([source, *stops, dest])
    ]
    for wire in wires:
        wire.left.after.append(wire)
        wire.right.before.append(wire)
    run.length, run.ties = len(stops), [wires[0], wires[-1]]
    source.run.ties.append(wires[0])
    dest.run.ties.append(wires[-1])
    return stops, wires


def _order(columns: Columns, passes: int) -> None:
    """Order each column such that few links cross, and otherwise as near as can be to what was."""
    declared = {box: i for column in columns[::2] for i, box in enumerate(column) if box.width}
    best, least = columns, (inf, inf)
    for order in _orders(columns, passes):
        cost = _crossings(order), _inversions(order, declared)
        if cost < least:
            best, least = [column[:] for column in order], cost
        if cost == (0, 0):
            break
    columns[:] = best
    for column in columns:
        _number(column)


def _orders(columns: Columns, passes: int) -> Iterator[Columns]:
    """Yield one order after another, in which boxes go to the mean place of their neighbours."""
    shuffle = Random(0).shuffle  # the same each time
    for sweep in range(passes):
        if sweep % _SWEEPS == 0:
            for column in columns:
                if sweep:
                    shuffle(column)
                _number(column)
        forwards = sweep % 2 == 0
        for column in columns if forwards else columns[::-1]:
            column.sort(key=_place_before if forwards else _place_after)
            _number(column)
        yield columns


def _number(column: list[Box]) -> None:
    count = len(column)
    for i, box in enumerate(column):
        box.place = (i + 0.5) / count


def _place_before(box: Box) -> float:
    places = [wire.left.place for wire in box.before]
    return fsum(places) / len(places) if places else box.place


def _place_after(box: Box) -> float:
    places = [wire.right.place for wire in box.after]
    return fsum(places) / len(places) if places else box.place


def _crossings(columns: Columns) -> int:
    """Return how many pairs of links cross, with the columns in this order."""
    count = 0
    for column in columns:
        passed: list[float] = []
        for box in column:
            ends = [wire.right.place for wire in box.after]
            count += sum([len(passed) - bisect_right(passed, end) for end in ends])
            for end in ends:
                insort(passed, end)
    return count


def _inversions(columns: Columns, declared: Mapping[Box, int]) -> int:
    """Return how many pairs of states stand the other way round than they were declared."""
    count = 0
    for column in columns[::2]:
        passed: list[int] = []
        for place in [declared[box] for box in column if box.width]:
            count += len(passed) - bisect_right(passed, place)
            insort(passed, place)
    return count


def _attach(columns: Columns) -> None:
    """Give each wire a port of its own at both ends, in an order without crossings."""
    for column in columns:
        for box in column:
            box.before.sort(key=lambda wire: wire.left.place)
            box.after.sort(key=lambda wire: wire.right.place)
            for i, wire in enumerate(box.before):
                wire.right_port = (i - (len(box.before) - 1) / 2) * _PORT
            for i, wire in enumerate(box.after):
                wire.left_port = (i - (len(box.after) - 1) / 2) * _PORT
            if (busiest := max(len(box.before), len(box.after))) > 1:
                box.height = max(box.height, busiest * _PORT + 8)


def _align(columns: Columns, rounds: int) -> None:
    """Find a height for each box such that links are as straight as the order allows."""
    for column in columns:
        below = 0.0
        for box in column:
            below += box.margin + (box.y - box.top)
            box.below = below
            below += box.margin + (box.bottom - box.y)
    for run in {box.run: None for column in columns for box in column}:
        for tie in run.ties:
            step = tie.right_port - tie.left_port
            run.pulls.append((tie.right, step) if tie.left.run is run else (tie.left, -step))
        run.weight = 1.0 + len(run.ties) if run.length == 1 else 8.0 * run.length
    for turn in range(rounds):
        straighten = turn >= rounds / 2
        for column in columns if turn % 2 == 0 else columns[::-1]:
            _settle(column, [_wish(box.run, straighten=straighten) for box in column])


def _wish(run: Run, *, straighten: bool) -> float:
    """Return the height at which a box would stand if it were alone in its column."""
    if not run.pulls or (straighten and run.length > 1):
        return run.level
    pulled = sum([box.y + below for box, below in run.pulls]) / len(run.pulls)
    return pulled if run.length == 1 else (run.level + pulled) / 2


def _settle(column: list[Box], wishes: list[float]) -> None:
    """Move each box as near as can be to where it wishes to be, in order and without overlap.

    This is isotonic regression: boxes that would overlap form a block, and the block goes to the
    mean of what its boxes wish. A state counts as much as it has links; a long link counts more,
    so that states make way for it.
    """
    blocks: list[tuple[float, float, int]] = []  # sum of weighted wishes, weight, boxes
    for box, wish in zip(column, wishes, strict=True):
        weight = box.run.weight
        moment, boxes = (wish - box.below) * weight, 1
        while blocks and blocks[-1][0] / blocks[-1][1] > moment / weight:
            above = blocks.pop()
            moment, weight, boxes = moment + above[0], weight + above[1], boxes + above[2]
        blocks.append((moment, weight, boxes))
    starts = [moment / weight for moment, weight, boxes in blocks for _ in range(boxes)]
    for box, start in zip(column, starts, strict=True):
        y = start + box.below
        box.run.level += (y - box.y) / box.run.length
        box.y = y


def _spread(columns: Columns) -> list[Point]:
    """Give each box its x, and return where each column begins and ends for the links."""
    bounds: list[Point] = []
    x = _MARGIN + _ENTRY
    for number, column in enumerate(columns):
        width = max((box.width for box in column), default=0.0)
        room = max([width, *(box.room for box in column)])
        lead = _LEAD if number % 2 == 0 else 0.0
        for box in column:
            box.x = x + room / 2
            if lead and box.width:
                box.width = width  # the states of a column are equally wide
        bounds.append((x - lead, x + room + lead))
        drops = [abs(wire.left_y - wire.right_y) / 2 for box in column for wire in box.after]
        x += room + _LEAD + min(max([_GAP[0], *drops]), _GAP[1])
    return bounds


def _route(source: Box, wires: Sequence[Wire], bounds: Sequence[Point]) -> Path:
    """Return the path along these wires: straight beside boxes, and curved in the gaps."""
    side = 1 if wires[0].left is source else -1
    here, y = source, wires[0].left_y if side > 0 else wires[0].right_y
    path: Path = [("M", ((here.x + side * here.width / 2, y),))]
    for wire in wires:
        if side > 0 and wire.right is here:  # the label at which a link turns back
            edge, deep = here.x - here.room / 2, here.x - here.width / 2
            path.append(("L", ((edge, y),)))
            side, y, before = -1, wire.right_y, y
            path.append(("C", ((deep, before), (deep, y), (edge, y))))
        there, end = (wire.right, wire.right_y) if side > 0 else (wire.left, wire.left_y)
        x0, x1 = bounds[here.column][side > 0], bounds[there.column][side < 0]
        if abs(y - end) > _STEP:
            middle = (x0 + x1) / 2
            path.append(("L", ((x0, y),)))
            path.append(("C", ((middle, y), (middle, end), (x1, end))))
        else:
            path.append(("L", ((x1, end),)))
        here, y = there, end
    path.append(("L", ((here.x - side * here.width / 2, y),)))
    return path


def _loop(state: Box, label: Box) -> Path:
    """Return an arch over a state, and put the label on top of it."""
    left, right, foot = state.x - 14, state.x + 14, state.y - state.height / 2
    spring, crown = foot - 10, foot - 10 - (_LOOP - 12) / 0.75  # its top is below the label
    label.x, label.y = state.x, foot - _LOOP - label.height / 2
    return [
        ("M", ((left, foot),)),
        ("L", ((left, spring),)),
        ("C", ((left, crown), (right, crown), (right, spring))),
        ("L", ((right, foot),)),
    ]


def _entry(initial: Box) -> Path:
    """Return the arrow by which the machine begins, from the left."""
    edge = initial.x - initial.width / 2
    return [("M", ((edge - _ENTRY, initial.y),)), ("L", ((edge, initial.y),))]
