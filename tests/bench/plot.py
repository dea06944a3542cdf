"""Goodput as one self-contained SVG: a panel for each case and number of receivers, bars grouped by loss."""
import math
from xml.sax.saxutils import escape

from report import cells_of, page_title

COLOURS = {'castpoint': '#0b6e4f', 'udpcast': '#c05621', 'uftp': '#b7950b', 'uftp-gcm': '#8e6c8a', 'https': '#4a6fa5'}
OTHER = '#777777'
PANEL_WIDTH, PANEL_HEIGHT, MARGIN, AXIS, LEGEND_HEIGHT = 250, 170, 14, 46, 40
ROW_HEIGHT = PANEL_HEIGHT + 74
STEPS = (1, 2, 2.5, 5, 10)


def nice_top(value):
    """The round number at or above the value that four grid lines divide well."""
    if value <= 0:
        return 1.0
    scale = 10 ** math.floor(math.log10(value))
    return next(s * scale for s in STEPS if s * scale >= value * 0.999999)


class Svg:
    def __init__(self):
        self.parts = []

    def rect(self, x, y, width, height, fill):
        self.parts.append(f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" fill="{fill}"/>')

    def line(self, x1, y1, x2, y2, stroke='#222222'):
        self.parts.append(f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{stroke}" stroke-width="1"/>')

    def text(self, x, y, words, anchor='middle', size=11):
        self.parts.append(f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}">{escape(str(words))}</text>')

    def document(self, width, height):
        head = (f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
                f'viewBox="0 0 {width:.0f} {height:.0f}" font-family="sans-serif">')
        return '\n'.join([head, f'<rect width="{width:.0f}" height="{height:.0f}" fill="#ffffff"/>', *self.parts, '</svg>\n'])


class Panel:
    """One number of receivers: groups by loss, a bar for each tool."""

    def __init__(self, svg, x, y, tools):
        self.svg, self.x, self.y, self.tools = svg, x + AXIS, y, tools
        self.width, self.height = PANEL_WIDTH - AXIS, PANEL_HEIGHT
        self.top = 1.0

    def at(self, value):
        return self.y + self.height * (1 - min(value, self.top) / self.top)

    def axis(self, cases):
        self.top = nice_top(max((c.goodput().values[-1] for tools in cases.values() for c in tools.values() if c.goodput()),
                                default=1.0))
        for i in range(5):
            value = self.top * i / 4
            self.svg.line(self.x, self.at(value), self.x + self.width, self.at(value), '#dddddd')
            self.svg.text(self.x - 5, self.at(value) + 4, f'{value:g}', 'end', 10)
        self.svg.line(self.x, self.y + self.height, self.x + self.width, self.y + self.height)

    def bar(self, x, width, tool, cell):
        spread = cell.goodput()
        if not spread:
            self.svg.text(x + width / 2, self.y + self.height - 4, cell.records[0]['verdict'][:1], size=9)
            return
        self.svg.rect(x, self.at(spread.median), width, self.y + self.height - self.at(spread.median), COLOURS.get(tool, OTHER))
        if spread.values[0] != spread.values[-1]:
            self.svg.line(x + width / 2, self.at(spread.values[0]), x + width / 2, self.at(spread.values[-1]))

    def draw(self, receivers, cases):
        """cases: {loss: {tool: Cell}}"""
        self.axis(cases)
        self.svg.text(self.x + self.width / 2, self.y - 8, f'{receivers} receiver' + 's' * (receivers != 1), size=12)
        group = self.width / len(cases)
        bar = group * 0.86 / len(self.tools)
        for g, (loss, cells) in enumerate(sorted(cases.items())):
            left = self.x + g * group + group * 0.07
            for i, tool in enumerate(self.tools):
                if tool in cells:
                    self.bar(left + i * bar, bar * 0.9, tool, cells[tool])
            self.svg.text(left + group * 0.43, self.y + self.height + 15, f'{loss:g} % loss', size=10)


def legend(svg, tools):
    x = MARGIN
    for tool in tools:
        svg.rect(x, MARGIN, 11, 11, COLOURS.get(tool, OTHER))
        svg.text(x + 16, MARGIN + 10, tool, 'start')
        x += 34 + 7 * len(tool)
    svg.text(x, MARGIN + 10, 'Mbit/s per receiver, median and range; H: did not finish, W: wrong output', 'start')
    return x + 6.2 * 75


def rows_of(records):
    """One row for each rate and offload: its title, and {receivers: {loss: {tool: Cell}}}. Sizes share a row; where there
    are two of one case, the larger one is drawn."""
    rows = {}
    for page, cases in sorted(cells_of(records).items(), key=lambda item: item[0][2]):
        title, panels = rows.setdefault(page[:2], ([], {}))
        title.append(page_title(page))
        for (receivers, loss), cells in cases.items():
            panels.setdefault(receivers, {})[loss] = cells
    return [('; '.join(title), panels) for title, panels in rows.values()]


def draw(records):
    """The picture's text."""
    svg, rows = Svg(), rows_of(records)
    used = {tool for _, panels in rows for cases in panels.values() for cells in cases.values() for tool in cells}
    tools = [t for t in COLOURS if t in used] + sorted(used - set(COLOURS))
    width = legend(svg, tools)
    for r, (title, panels) in enumerate(rows):
        y = LEGEND_HEIGHT + r * ROW_HEIGHT
        svg.text(MARGIN, y + 14, title, 'start', 13)
        for i, (receivers, cases) in enumerate(sorted(panels.items())):
            Panel(svg, MARGIN + i * (PANEL_WIDTH + MARGIN), y + 44, tools).draw(receivers, cases)
            width = max(width, MARGIN + (i + 1) * (PANEL_WIDTH + MARGIN))
    return svg.document(width, LEGEND_HEIGHT + len(rows) * ROW_HEIGHT)
