# SPDX-License-Identifier: GPL-3.0-or-later
"""Figures gathered over rounds, and the table that shows their medians."""
import dataclasses
import statistics


class Figures:
    """What was measured, by subject ("zabd") and name ("set 1x1 p50_us")."""

    def __init__(self):
        self.values = {}

    def add(self, subject, name, value):
        self.values.setdefault((subject, name), []).append(float(value))

    def median(self, key):
        return statistics.median(self.values[key]) if key in self.values else None


@dataclasses.dataclass
class Row:
    """One line. The goal is for the ratio of `ours` to `other`, or for `ours` if there is no
    other. Both are keys of Figures."""

    name: str
    unit: str
    ours: tuple
    other: tuple = None
    at_least: float = None
    at_most: float = None

    def goal(self):
        if self.at_least is not None:
            sign, bound = ">=", self.at_least
        elif self.at_most is not None:
            sign, bound = "<=", self.at_most
        else:
            return ""
        return f"{sign} {number(bound)}{'x' if self.other else ''}"

    def verdict(self, figure):
        if not self.goal():
            return ""
        if figure is None:
            return "not measured"
        missed = (self.at_least is not None and figure < self.at_least) or (
            self.at_most is not None and figure > self.at_most
        )
        return "MISSED" if missed else "ok"


def number(value):
    if value is None:
        return "-"
    if abs(value) >= 100 or value == int(value):
        return f"{value:.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


LINE = "{:44} {:5} {:>9} {:>9} {:24} {:>7} {:>8} {}"


def show(rows, figures):
    """Print the rows for which there are figures. Returns how many goals were missed."""
    missed = 0
    print(LINE.format("", "", "ours", "other", "which is", "ratio", "goal", "").rstrip())
    for row in rows:
        ours, other = figures.median(row.ours), figures.median(row.other)
        if ours is None and other is None:
            continue
        both = ours is not None and other is not None and other > 0
        ratio = ours / other if both else None
        verdict = row.verdict(ratio if row.other else ours)
        missed += verdict == "MISSED"
        print(
            LINE.format(
                row.name,
                row.unit,
                number(ours),
                number(other),
                row.other[0] if row.other else "",
                number(ratio),
                row.goal(),
                verdict,
            ).rstrip()
        )
    return missed
