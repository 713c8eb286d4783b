"""Bars as SVG, made with the standard library: what was measured, and how far the rounds spread."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from xml.etree import ElementTree as ET

from ops.bench.report import number
from ops.bench.values import Spread, System

_WIDTH: Final = 760
_LABEL_WIDTH: Final = 230
_VALUE_WIDTH: Final = 90
_BAR, _GAP, _GROUP_GAP = 15, 4, 12
_TOP: Final = 52
_BOTTOM: Final = 14
_COLOURS: Final = {System.CARETREE: "#1f7a5c", System.ETCD: "#8a94a6"}
_INK, _FAINT = "#24292f", "#57606a"
_FONT: Final = "ui-sans-serif, Helvetica, Arial, sans-serif"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One bar: whose it is, what it stands for, how long it is."""

    system: System
    label: str
    value: Spread


@dataclass(frozen=True, slots=True, kw_only=True)
class Plot:
    """A picture of bars in groups, from one zero."""

    name: str
    title: str
    unit: str
    groups: Sequence[Sequence[Bar]]


def to_svg(plot: Plot) -> str:
    """The picture; the same plot gives the same bytes."""
    bars = [bar for group in plot.groups for bar in group]
    longest = max((bar.value.high for bar in bars), default=0.0) or 1.0
    height = _TOP + _BOTTOM + len(bars) * (_BAR + _GAP) + max(len(plot.groups) - 1, 0) * _GROUP_GAP
    root = ET.Element(
        "svg",
        {
            "xmlns": "http://www.w3.org/2000/svg",
            "viewBox": f"0 0 {_WIDTH} {height}",
            "width": str(_WIDTH),
            "height": str(height),
            "font-family": _FONT,
            "font-size": "12",
            "role": "img",
        },
    )
    ET.SubElement(root, "title").text = plot.title
    _rectangle(root, x=0, y=0, width=_WIDTH, height=height, colour="#ffffff")
    _text(root, plot.title, x=12, y=20, colour=_INK, weight="600")
    _legend(root, plot)
    y = _TOP
    for group in plot.groups:
        for bar in group:
            _draw(root, bar, y=y, scale=(_WIDTH - _LABEL_WIDTH - _VALUE_WIDTH) / longest)
            y += _BAR + _GAP
        y += _GROUP_GAP
    ET.indent(root, " ")
    return ET.tostring(root, encoding="unicode") + "\n"


def _legend(root: ET.Element, plot: Plot) -> None:
    x = 12
    for system in (each for each in System if _has(plot, each)):
        _rectangle(root, x=x, y=30, width=10, height=10, colour=_COLOURS[system])
        _text(root, system.value, x=x + 15, y=39, colour=_FAINT)
        x += 90
    _text(root, f"{plot.unit}; the line spans the rounds", x=x, y=39, colour=_FAINT)


def _has(plot: Plot, system: System) -> bool:
    return any(bar.system is system for group in plot.groups for bar in group)


def _draw(root: ET.Element, bar: Bar, *, y: int, scale: float) -> None:
    middle = y + _BAR / 2
    end = _LABEL_WIDTH + bar.value.median * scale
    low, high = (_LABEL_WIDTH + value * scale for value in (bar.value.low, bar.value.high))
    _text(root, bar.label, x=_LABEL_WIDTH - 8, y=y + 12, colour=_INK, anchor="end")
    colour = _COLOURS[bar.system]
    width = max(end - _LABEL_WIDTH, 1)
    _rectangle(root, x=_LABEL_WIDTH, y=y, width=width, height=_BAR, colour=colour)
    if bar.value.low != bar.value.high:
        line = {"x1": low, "x2": high, "y1": middle, "y2": middle}
        places = {name: f"{place:.1f}" for name, place in line.items()}
        ET.SubElement(root, "line", places | {"stroke": _INK, "stroke-width": "1.5"})
    _text(root, number(bar.value.median), x=max(end, high) + 6, y=y + 12, colour=_FAINT)


def _rectangle(
    root: ET.Element, *, x: float, y: float, width: float, height: float, colour: str
) -> None:
    sides = {"x": x, "y": y, "width": width, "height": height}
    places = {name: f"{side:.1f}" for name, side in sides.items()}
    ET.SubElement(root, "rect", places | {"fill": colour})


def _text(
    root: ET.Element,
    text: str,
    *,
    x: float,
    y: float,
    colour: str,
    anchor: str = "start",
    weight: str = "400",
) -> None:
    attributes = {
        "x": f"{x:.1f}",
        "y": f"{y:.1f}",
        "fill": colour,
        "text-anchor": anchor,
        "font-weight": weight,
    }
    ET.SubElement(root, "text", attributes).text = text
