"""Folded stacks -> a flame graph as SVG: where a daemon's processor time goes.

    py-spy record --format raw --output stacks --pid PID --duration 20
    python -m ops.bench.flame stacks picture.svg "the called peer, batches of 100"

A bar is as wide as the share of samples that have it on their stack; who calls stands below.
"""

import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from xml.etree import ElementTree as ET

_WIDTH: Final = 1200
_ROW: Final = 17
_TOP: Final = 30
_CHARACTER: Final = 6.2
# Narrower bars say nothing to the eye.
_SHARE_MIN: Final = 0.004
# A sampler cannot always tell a thread that waits from one that works.
_WAITING: Final = ("_worker", "Condition.wait", "Thread.run", "wait_for")
_FRAME: Final = re.compile(r"(?P<call>.+) \((?P<file>[^()]+?)(?::\d+)?\)")
_COLOURS: Final = {
    "rpc": "#7fb3d5",
    "node": "#76c7a6",
    "ledger": "#f3c969",
    "merkle": "#e8a87c",
    "crypto": "#d98880",
    "storage": "#b39ddb",
    "telemetry": "#c5ccd3",
}
_OTHERS: Final = "#e6e1d6"


@dataclass(slots=True)
class Frame:
    """A function on the stack: how many samples have it there, and what it called."""

    samples: int = 0
    calls: "dict[str, Frame]" = field(default_factory=dict)


def read_stacks(lines: Iterable[str]) -> Frame:
    """All stacks as one tree; waiting threads and what stands below the first own frame left out.

    Each line is the frames from the outermost on, parted by semicolons, a space, and a count.
    """
    root = Frame()
    for line in lines:
        stack, _, count = line.rpartition(" ")
        frames = [_name(frame) for frame in stack.split(";")[1:]]
        if not frames or frames[-1].endswith(_WAITING):
            continue
        frame = root
        root.samples += int(count)
        for name in frames:
            frame = frame.calls.setdefault(name, Frame())
            frame.samples += int(count)
    return root


def _name(frame: str) -> str:
    """`node.author:Author.submit` for a frame of our own, `grpc/aio:write` for another's."""
    found = _FRAME.fullmatch(frame)
    if found is None:
        return frame
    file = found["file"].removesuffix(".py")
    if file.startswith("caretree/"):
        return f"{file.removeprefix('caretree/').replace('/', '.')}:{found['call']}"
    return f"{file.rpartition('/')[0] or file}:{found['call']}"


def to_svg(root: Frame, *, title: str) -> str:
    """The picture."""
    bars = list(_bars(root, x=0.0, depth=0, total=max(root.samples, 1)))
    depths = 1 + max((depth for _, _, _, depth in bars), default=0)
    height = _TOP + depths * _ROW + 6
    svg = ET.Element(
        "svg",
        {
            "xmlns": "http://www.w3.org/2000/svg",
            "viewBox": f"0 0 {_WIDTH} {height}",
            "font-family": "ui-monospace, Menlo, monospace",
            "font-size": "10",
            "role": "img",
        },
    )
    ET.SubElement(svg, "title").text = title
    ET.SubElement(svg, "rect", {"width": str(_WIDTH), "height": str(height), "fill": "#ffffff"})
    heading = {"x": "8", "y": "19", "font-size": "13", "fill": "#24292f"}
    ET.SubElement(svg, "text", heading).text = title
    for name, share, x, depth in bars:
        _draw(svg, name, share=share, x=x, y=height - 6 - (depth + 1) * _ROW)
    ET.indent(svg, " ")
    return ET.tostring(svg, encoding="unicode") + "\n"


def _bars(
    frame: Frame, *, x: float, depth: int, total: int
) -> Iterator[tuple[str, float, float, int]]:
    """(name, share, place from the left as a share, depth) of each bar wide enough to be seen."""
    for name, called in sorted(frame.calls.items()):
        share = called.samples / total
        if share >= _SHARE_MIN:
            yield name, share, x, depth
            yield from _bars(called, x=x, depth=depth + 1, total=total)
        x += share


def _draw(svg: ET.Element, name: str, *, share: float, x: float, y: int) -> None:
    width = share * _WIDTH
    group = ET.SubElement(svg, "g")
    ET.SubElement(group, "title").text = f"{name}: {share:.1%}"
    sides = {
        "x": f"{x * _WIDTH:.1f}",
        "y": str(y),
        "width": f"{width:.1f}",
        "height": f"{_ROW - 1}",
    }
    room = name.partition(".")[0]
    ET.SubElement(group, "rect", sides | {"fill": _COLOURS.get(room, _OTHERS)})
    shown = name[: int(width / _CHARACTER)]
    if len(shown) > 2:
        place = {"x": f"{x * _WIDTH + 2:.1f}", "y": str(y + 11), "fill": "#24292f"}
        ET.SubElement(group, "text", place).text = shown


def main() -> int:
    """The command line."""
    if len(sys.argv) != 4:
        sys.stderr.write("expected: stacks picture.svg title\n")
        return 2
    stacks, picture, title = sys.argv[1:]
    with Path(stacks).open(encoding="utf-8") as lines:
        root = read_stacks(lines)
    Path(picture).write_text(to_svg(root, title=title), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
