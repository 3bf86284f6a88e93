"""Drawings are well-formed whatever the names, and nothing in a picture covers anything else."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from dataclasses import dataclass, replace
from itertools import combinations, pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from jobstate import _layout
from jobstate._drawing import Arrow, Diagram, mermaid, svg

SVG = "{http://www.w3.org/2000/svg}"
Point = tuple[float, float]


def diagram(arrows: str, final: str = "", *, states: str = "", title: str = "") -> Diagram:
    """Return a diagram from lines such as ``A B label``; the first state is the initial one."""
    parsed = tuple(Arrow(*line.split(maxsplit=2)) for line in arrows.strip().splitlines())
    ends = [name for arrow in parsed for name in (arrow.source, arrow.dest)]
    names = tuple(dict.fromkeys([*states.split(), *ends]))
    return Diagram(title, names, names[0], frozenset(final.split()), parsed)


JOB = diagram(
    """
    PENDING STARTED start
    RETRY STARTED start
    STARTED SUCCESS succeed
    PENDING FAILURE fail
    STARTED FAILURE fail
    RETRY FAILURE fail
    STARTED RETRY retry [has_attempts_left]
    STARTED FAILURE retry
    RETRY PENDING requeue
    STARTED PENDING requeue
    PENDING REVOKED revoke
    RETRY REVOKED revoke
    STARTED REVOKED revoke [started_can_be_revoked]
    """,
    "SUCCESS FAILURE REVOKED",
    states="PENDING STARTED SUCCESS FAILURE RETRY REVOKED",
    title="Job lifecycle",
)
DOOR = diagram("open closed close\nclosed open open\nclosed locked lock", "locked")
LOOPS = diagram("idle busy go\nbusy busy beat\nbusy busy report\nbusy idle rest\nidle idle poke")
LEVEL = diagram("a b one\na c two\nb c over\nc b back\nb d end\nc d end\nd a rise\nd e x", "d e")
ORDER = diagram(
    """
    new validated validate
    new rejected reject
    validated reserved reserve [in_stock]
    validated backordered reserve
    backordered reserved restock
    backordered cancelled cancel
    reserved paid pay
    reserved cancelled cancel
    reserved validated release
    paid packed pack
    paid refunded refund
    packed shipped ship
    packed packed repack
    shipped delivered deliver
    shipped packed return [address_unknown]
    delivered refunded refund
    delivered closed close
    """,
    "rejected cancelled refunded closed",
)
CROWD = Diagram(
    "Thirty states",
    tuple(f"state {n}" for n in range(30)),
    "state 0",
    frozenset({"state 27", "state 28", "state 29"}),
    tuple(
        Arrow(f"state {n * n % 30}", f"state {(n * n + 1 + n // 3) % 30}", f"go {n}")
        for n in range(60)
    ),
)
SEVERAL = [JOB, DOOR, LOOPS, LEVEL, ORDER, CROWD]

anything = st.text(st.characters(), max_size=20)


@st.composite
def diagrams(draw: st.DrawFn, text: st.SearchStrategy[str] = anything) -> Diagram:
    """Return any diagram, however little it makes sense as a machine."""
    names = draw(st.lists(text, min_size=1, max_size=8, unique=True))
    name = st.sampled_from(names)
    arrows = draw(st.lists(st.builds(Arrow, name, name, text), max_size=16))
    return Diagram(draw(text), tuple(names), draw(name), draw(st.frozensets(name)), tuple(arrows))


# Mermaid


def test_mermaid_text_is_what_one_would_write_by_hand() -> None:
    """The lifecycle of a job comes out as plain lines, in the order of declaration."""
    assert mermaid(JOB).splitlines() == [
        "---",
        'title: "Job lifecycle"',
        "---",
        "stateDiagram-v2",
        "    direction LR",
        "    [*] --> PENDING",
        *(f"    {arrow.source} --> {arrow.dest}: {arrow.label}" for arrow in JOB.arrows),
        "    SUCCESS --> [*]",
        "    FAILURE --> [*]",
        "    REVOKED --> [*]",
    ]


@pytest.mark.parametrize(
    "name",
    [
        *("two words", "a-dash", "état", "漢字", "1st", "s0"),
        *("END", "state", "note", "Direction", "class", "classDef", "default", "style", "click"),
        *("href", "hide", "scale", "as", "fork", "join", "choice", "accTitle", "accDescr"),
        *("stateDiagram", "root", "root_start", "root_end", "constructor", "toString"),
        *("toLocaleString", "valueOf", "hasOwnProperty", "isPrototypeOf", "propertyIsEnumerable"),
    ],
)
def test_mermaid_gets_an_alias_for_a_name_that_it_would_misread(name: str) -> None:
    """A name that is no plain identifier is declared once and then stands under its alias."""
    text = mermaid(Diagram("", ("A", name), "A", frozenset({name}), (Arrow("A", name, "go"),)))
    assert text.splitlines()[2:] == [
        f'    state "{name}" as s1',
        "    [*] --> A",
        "    A --> s1: go",
        "    s1 --> [*]",
    ]


def test_mermaid_aliases_are_the_name_of_no_state() -> None:
    """A state that is called like an alias of ours gets an alias itself."""
    text = mermaid(diagram("s1 two-words go"))
    assert 'state "s1" as s0' in text
    assert 'state "two-words" as s1' in text
    assert "s0 --> s1: go" in text


@pytest.mark.parametrize(
    ("label", "written"),
    [
        ("retry [has_attempts_left]", "retry [has_attempts_left]"),
        ('a: "b"; c', "a#58; #34;b#34;#59; c"),
        ("%% <b> #35; {x}", "#37;#37; #60;b#62; #35;35#59; #123;x#125;"),
        ("two\nlines\r\n", "two lines"),
        ("change direction TB", "change direction#32;TB"),
        ("[[fork]]", "[#91;fork]]"),
        ("_not_ __emphasis__", "#95;not_ #95;#95;emphasis_#95;"),
        ("\x00\ud800", "#65533;#65533;"),
    ],
)
def test_mermaid_labels_hold_nothing_that_mermaid_acts_on(label: str, written: str) -> None:
    """Signs with a meaning to Mermaid are written as numbers; identifiers stay readable."""
    text = mermaid(Diagram("", ("A",), "A", frozenset(), (Arrow("A", "A", label),)))
    assert text.splitlines()[-1] == f"    A --> A: {written}"


def test_mermaid_shows_states_without_arrows_and_without_names() -> None:
    """A state that no arrow mentions has a line of its own, and an empty name takes its room."""
    text = mermaid(Diagram("", ("A", "alone", ""), "A", frozenset(), (Arrow("A", "", " "),)))
    assert text.splitlines()[2:] == [
        "    alone",
        '    state "#160;" as s2',
        "    [*] --> A",
        "    A --> s2",
    ]


@pytest.mark.parametrize("title", ['say "so": yes', "back\\slash", "--- # 'x'", "naïve 漢字"])
def test_mermaid_title_is_a_yaml_string(title: str) -> None:
    """The title stands in front matter, quoted."""
    first, second, third, *_ = mermaid(replace(DOOR, title=title)).splitlines()
    assert (first, third) == ("---", "---")
    assert json.loads(second.removeprefix("title: ")) == title


@pytest.mark.parametrize("title", ["", " \n"])
def test_mermaid_without_a_title_has_no_front_matter(title: str) -> None:
    """A title of nothing is left out."""
    assert mermaid(replace(DOOR, title=title)).startswith("stateDiagram-v2\n")


@given(diagrams())
def test_mermaid_has_one_line_for_each_arrow_whatever_the_names(drawn: Diagram) -> None:
    """No name or label can add a line, end one early, or leave a sign with a meaning."""
    _, _, text = f"\n{mermaid(drawn)}".partition("\nstateDiagram-v2\n")
    body = text.splitlines()
    word = r"(?:\w|[ ,.()\[\]-]|#\d+;)+"
    name = r"(?:[A-Za-z]\w*|\[\*\])"
    arrow = re.compile(rf"    {name} --> {name}(?:: {word})?")
    declared = re.compile(rf'    (?:state "{word}" as s\d+|[A-Za-z]\w*)')
    assert body[0] == "    direction LR"
    arrows = [line for line in body[1:] if arrow.fullmatch(line)]
    assert len(arrows) == 1 + len(drawn.arrows) + len(drawn.final)
    assert all(declared.fullmatch(line) for line in body[1:] if line not in arrows)


# SVG


@dataclass(frozen=True)
class Rect:
    """A rectangle of a picture, with the lines of text on it."""

    left: float
    top: float
    right: float
    bottom: float
    texts: tuple[str, ...]
    borders: int = 1

    def overlaps(self, other: Rect) -> bool:
        """Tell whether the two share more than an edge."""
        across = min(self.right, other.right) - max(self.left, other.left)
        down = min(self.bottom, other.bottom) - max(self.top, other.top)
        return across > 0.2 and down > 0.2

    def holds(self, point: Point) -> bool:
        """Tell whether the point is inside, and more than a hair from the edge."""
        x, y = point
        hair = 0.2
        return self.left + hair < x < self.right - hair and self.top + hair < y < self.bottom - hair


class Picture:
    """What can be seen in an SVG document: states, labels, and lines as points close together."""

    def __init__(self, drawn: Diagram) -> None:
        self.text = svg(drawn)
        self.root = ET.fromstring(self.text)
        _, _, self.width, self.height = map(float, self.root.attrib["viewBox"].split())
        self.states = self._rects("jobstate-state")
        self.labels = self._rects("jobstate-label")
        data = [path.attrib["d"] for path in self.root.iter(f"{SVG}path")]
        self.entry, *self.lines = map(traced, data)

    def _rects(self, kind: str) -> list[Rect]:
        found = []
        for group in self.root.iter(f"{SVG}g"):
            if group.get("class") == kind:
                rects = group.findall(f"{SVG}rect")
                x, y, width, height = (
                    float(rects[0].attrib[key]) for key in ("x", "y", "width", "height")
                )
                texts = tuple(text.text or "" for text in group.findall(f"{SVG}text"))
                found.append(Rect(x, y, x + width, y + height, texts, len(rects)))
        return found

    def state(self, name: str) -> Rect:
        """Return the box of a state."""
        (found,) = (rect for rect in self.states if rect.texts == (name,))
        return found


def traced(data: str) -> list[Point]:
    """Return points along a path, at most a few pixels apart."""
    points: list[Point] = []
    for command, numbers in re.findall(r"([MLC])([^MLC]*)", data):
        stops = [(float(x), float(y)) for x, y in re.findall(r"([-\d.]+),([-\d.]+)", numbers)]
        if command == "M":
            points += stops
            continue
        start, stop = points[-1], stops[-1]
        one, two = stops[:2] if command == "C" else (start, stop)
        steps = 48 if command == "C" else max(1, int(abs(stop[0] - start[0]) / 4))
        for t in (n / steps for n in range(1, steps + 1)):
            if command == "C":
                weights = ((1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t * t * (1 - t), t**3)
            else:
                weights = (1 - t, 0, 0, t)
            ends = (start, one, two, stop)
            points.append(
                (
                    sum(w * x for w, (x, _) in zip(weights, ends, strict=True)),
                    sum(w * y for w, (_, y) in zip(weights, ends, strict=True)),
                )
            )
    return points


def crosses(one: list[Point], other: list[Point]) -> bool:
    """Tell whether two lines cross."""

    def turn(a: Point, b: Point, c: Point) -> bool:
        return (b[0] - a[0]) * (c[1] - a[1]) > (b[1] - a[1]) * (c[0] - a[0])

    return any(
        turn(a, b, c) != turn(a, b, d) and turn(c, d, a) != turn(c, d, b)
        for a, b in pairwise(one[::6])
        for c, d in pairwise(other[::6])
    )


@given(diagrams())
@example(Diagram("\x00<&>", ("\ud800", "\ufffe]]>", "<b>", "&amp;"), "<b>", frozenset(), ()))
@example(CROWD)
@example(diagram(f"a b {'very ' * 400}long\na a {'very ' * 40}long"))
@settings(max_examples=50, deadline=None)
def test_svg_is_well_formed_whatever_the_names(drawn: Diagram) -> None:
    """The document parses, shows each state once, and stays clear of its own rim."""
    picture, rim = Picture(drawn), 10
    shown = [text for rect in picture.states for text in rect.texts]
    plain = {
        name for name in drawn.states if name.isprintable() and name.split(" ") == name.split()
    }
    assert len(shown) == len(drawn.states)
    assert plain <= set(shown)
    for line in [picture.entry, *picture.lines]:
        assert all(rim < x < picture.width - rim for x, _ in line)
        assert all(rim < y < picture.height - rim for _, y in line)
    for rect in picture.states + picture.labels:
        assert rim < rect.left <= rect.right < picture.width - rim
        assert rim < rect.top <= rect.bottom < picture.height - rim


def check_nothing_is_covered(drawn: Diagram) -> None:
    """Fail if boxes or labels overlap, or a line runs through a state or another line's label."""
    picture = Picture(drawn)
    pairs = dict.fromkeys((arrow.source, arrow.dest) for arrow in drawn.arrows)
    assert len(pairs) == len(picture.lines) == len(picture.labels)
    for one, other in combinations(picture.states + picture.labels, 2):
        assert not one.overlaps(other), (one, other)
    for line, own in zip(picture.lines, picture.labels, strict=True):
        for rect in picture.states + picture.labels:
            assert rect is own or not any(map(rect.holds, line)), (own, rect)


@pytest.mark.parametrize("drawn", SEVERAL, ids=lambda drawn: drawn.states[0])
def test_nothing_in_a_picture_covers_anything_else(drawn: Diagram) -> None:
    """States and labels stand free, and lines run between them, in machines as people have them."""
    check_nothing_is_covered(drawn)


@given(diagrams(st.text("abcMW [漢é", min_size=1, max_size=30).filter(str.strip)))
@settings(max_examples=50, deadline=None)
def test_nothing_is_covered_in_any_machine(drawn: Diagram) -> None:
    """The same holds for any arrows between any states, for it follows from the construction."""
    check_nothing_is_covered(drawn)


@pytest.mark.parametrize("drawn", SEVERAL, ids=lambda drawn: drawn.states[0])
def test_nothing_is_covered_however_short_the_search(
    drawn: Diagram, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It holds in large pictures too, for which the search makes few passes."""
    monkeypatch.setattr(_layout, "_VISITS", 0)
    check_nothing_is_covered(drawn)


def in_a_row(count: int) -> Diagram:
    """Return a diagram of so many states in a row, with ways from each to the end and back."""
    names = [f"S{number}" for number in range(count)]
    lines = [f"{one} {other} next" for one, other in pairwise(names)]
    lines += [f"{name} END abort" for name in names]
    lines += [f"{name} {names[0]} reset" for name in names[1:]]
    return diagram("\n".join(lines), "END")


def work(drawn: Diagram) -> int:
    """Return how many calls of Python functions it takes to draw a picture."""
    calls = 0

    def count(frame: object, kind: str, arg: object) -> None:
        nonlocal calls
        calls += kind == "call"

    sys.setprofile(count)
    try:
        svg(drawn)
    finally:
        sys.setprofile(None)
    return calls


def test_the_work_grows_no_faster_than_the_picture() -> None:
    """Twice as many states, with ways past all others, are four times as much to draw."""
    assert work(in_a_row(60)) < 5 * work(in_a_row(30))


@pytest.mark.parametrize(("drawn", "most"), [(JOB, 2), (DOOR, 0), (LOOPS, 0), (ORDER, 0)])
def test_few_lines_cross(drawn: Diagram, most: int) -> None:
    """Of the lines of these machines no more cross than have to."""
    lines = Picture(drawn).lines
    assert sum(crosses(one, other) for one, other in combinations(lines, 2)) <= most


@pytest.mark.parametrize("drawn", [JOB, ORDER], ids=["job", "order"])
def test_lines_that_pass_states_are_straight(drawn: Diagram) -> None:
    """Where a line passes columns of states it rises or falls by a hair at most."""
    picture = Picture(drawn)
    columns = {(state.left, state.right) for state in picture.states}
    passed = 0
    for line in picture.lines:
        first, last = sorted((line[0][0], line[-1][0]))
        inner = [(left, right) for left, right in columns if first < left and right < last]
        heights = [y for x, y in line if any(left <= x <= right for left, right in inner)]
        assert max(heights, default=0) - min(heights, default=0) < 2
        passed += len(inner)
    assert passed


def test_lines_have_no_kinks() -> None:
    """Straight parts are level, or upright in a loop, so that the curves continue them."""
    for path in Picture(CROWD).root.iter(f"{SVG}path"):
        stretches = re.findall(r"([-\d.]+),([-\d.]+) L([-\d.]+),([-\d.]+)", path.attrib["d"])
        assert stretches
        for x0, y0, x1, y1 in (map(float, stretch) for stretch in stretches):
            assert abs(y1 - y0) <= 2.1 or x0 == x1


def test_states_stand_in_columns_by_distance() -> None:
    """The initial state comes first, then what it leads to, and all final states come last."""
    picture = Picture(JOB)
    columns = [picture.state(name).left for name in ("PENDING", "STARTED", "RETRY", "SUCCESS")]
    assert columns == sorted(set(columns))
    assert {picture.state(name).left for name in JOB.final} == {columns[-1]}


@pytest.mark.parametrize(
    ("drawn", "names"),
    [
        (JOB, ["SUCCESS", "FAILURE", "REVOKED"]),
        (ORDER, ["rejected", "cancelled", "refunded", "closed"]),
    ],
    ids=["job", "order"],
)
def test_states_keep_their_order_where_lines_leave_it_open(
    drawn: Diagram, names: list[str]
) -> None:
    """Final states stand one below the other as they were declared."""
    tops = [Picture(drawn).state(name).top for name in names]
    assert tops == sorted(tops)


def test_arrows_with_the_same_ends_are_one_line() -> None:
    """Their labels stand on it one below the other."""
    picture = Picture(JOB)
    assert len(picture.lines) == len(JOB.arrows) - 1
    assert ("fail", "retry") in [label.texts for label in picture.labels]


def test_there_and_back_are_two_lines() -> None:
    """Opposite arrows run side by side, at a distance that can be seen."""
    picture = Picture(DOOR)
    there, back, _ = picture.lines
    assert there[0][0] == back[-1][0] < there[-1][0] == back[0][0]
    assert min(abs(y - v) for x, y in there for u, v in back if abs(x - u) < 3) > 8


def test_an_arrow_ends_where_it_points() -> None:
    """Each line leaves the edge of its source, and its head touches the edge of its destination."""
    for drawn in SEVERAL:
        picture = Picture(drawn)
        pairs = list(dict.fromkeys((arrow.source, arrow.dest) for arrow in drawn.arrows))
        heads = [
            tuple(map(float, head.attrib["points"].split()[0].split(",")))
            for head in picture.root.iter(f"{SVG}polygon")
        ]
        assert heads == [line[-1] for line in [picture.entry, *picture.lines]]
        for (source, dest), line in zip(pairs, picture.lines, strict=True):
            for name, (x, y) in ((source, line[0]), (dest, line[-1])):
                rect = picture.state(name)
                beside = min(abs(x - rect.left), abs(x - rect.right)) < 0.2
                assert (beside and rect.top < y < rect.bottom) or abs(y - rect.top) < 0.2


def test_a_loop_stands_above_its_state() -> None:
    """Arrows from a state to itself are one arch, with their labels on top."""
    picture = Picture(LOOPS)
    state = picture.state("busy")
    (label,) = (label for label in picture.labels if label.texts == ("beat", "report"))
    arch = picture.lines[1]
    assert arch[0][1] == arch[-1][1] == state.top
    assert all(state.left < x < state.right and y <= state.top for x, y in arch)
    assert label.bottom < min(y for _, y in arch)


def test_a_line_within_a_column_turns_beside_its_label() -> None:
    """Between states at the same distance a line leaves to the right and comes back."""
    picture = Picture(LEVEL)
    (label,) = (label for label in picture.labels if label.texts == ("over",))
    line = picture.lines[2]
    assert line[0][0] == line[-1][0] == picture.state("b").right
    assert label.left - 5 < max(x for x, _ in line) < label.left


def test_the_initial_state_is_entered_from_a_dot() -> None:
    """A filled dot stands to the left of it, and an arrow leads in."""
    picture = Picture(JOB)
    (dot,) = picture.root.iter(f"{SVG}circle")
    initial = picture.state("PENDING")
    assert picture.entry[0] == (float(dot.attrib["cx"]), float(dot.attrib["cy"]))
    assert float(dot.attrib["cx"]) + float(dot.attrib["r"]) < initial.left
    assert picture.entry[-1][0] == initial.left
    assert initial.top < picture.entry[-1][1] < initial.bottom


def test_final_states_have_a_double_border() -> None:
    """And no others have."""
    assert {rect.texts[0] for rect in Picture(JOB).states if rect.borders == 2} == JOB.final


@pytest.mark.parametrize(
    ("narrow", "wide"),
    [("iiiii", "mmmmm"), ("GGGGG", "漢漢漢漢漢"), ("e\u0301" * 4, "eeeee")],
)
def test_labels_have_the_room_that_their_signs_take(narrow: str, wide: str) -> None:
    """A label is as wide as what is written on it, not as the number of its signs."""
    widths = [
        label.right - label.left
        for text in (narrow, wide)
        for label in Picture(Diagram("", ("A",), "A", frozenset(), (Arrow("A", "A", text),))).labels
    ]
    assert widths == sorted(set(widths))


def test_arrows_without_labels_are_bare_lines() -> None:
    """No ground is laid where nothing is written."""
    picture = Picture(diagram("a b -\nb c -"))
    assert len(picture.labels) == 2
    bare = replace(DOOR, arrows=tuple(replace(arrow, label=" ") for arrow in DOOR.arrows))
    assert not Picture(bare).labels
    assert len(Picture(bare).lines) == 3


def test_svg_can_be_read_anywhere() -> None:
    """It is an image with a title, has its own ground, and brings no style or script with it."""
    root = Picture(JOB).root
    title, ground = list(root)[:2]
    assert root.attrib["role"] == "img"
    assert (title.tag, title.text) == (f"{SVG}title", "Job lifecycle")
    assert ground.tag == f"{SVG}rect"
    assert float(ground.attrib["x"]) > 0
    assert float(ground.attrib["x"]) + float(ground.attrib["width"]) < float(root.attrib["width"])
    assert float(ground.attrib["rx"]) > 0
    assert ground.attrib["fill"].startswith("#")
    kinds = {element.tag.removeprefix(SVG) for element in root.iter()}
    assert kinds == {"svg", "title", "rect", "g", "path", "polygon", "circle", "text"}


def test_svg_has_a_title_even_if_the_diagram_has_none() -> None:
    """A reader that cannot see the picture is told at least what it is."""
    assert "<title>State diagram</title>" in svg(replace(JOB, title=""))


def test_the_same_diagram_gives_the_same_bytes() -> None:
    """Nothing depends on the order in which a process happens to keep its sets."""
    program = (
        f"from jobstate._drawing import *\ndrawn = {CROWD!r}\nprint(mermaid(drawn) + svg(drawn))"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", program],
            env=os.environ | {"PYTHONHASHSEED": seed},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert outputs == {mermaid(CROWD) + svg(CROWD) + "\n"}
