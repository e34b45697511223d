"""Colours that everybody can tell apart, on paper and on a dark screen.

The hues are near Okabe and Ito's (2008). Each stands out from its background by 3:1 or more (WCAG
2.2, 1.4.11), and any two differ by 15 in CIE L*a*b* for normal eyes and for three kinds of colour
blindness; tests compute both. Figures are drawn in the light colours, and the page exchanges them
for the dark ones.
"""

__all__ = ["DARK", "LIGHT", "NEGATIVE", "POSITIVE", "SERIES", "STRENGTH"]

# role -> colour. `ink` writes, `muted` draws axes, `line` draws grids, `c1` to `c5` are series.
LIGHT: dict[str, str] = {
    "paper": "#ffffff",
    "panel": "#f6f6f3",
    "ink": "#1f2328",
    "muted": "#5c6470",
    "line": "#dcdcd6",
    "c1": "#095993",
    "c2": "#dc5f0d",
    "c3": "#06876a",
    "c4": "#cf65a3",
    "c5": "#6b5208",
}
DARK: dict[str, str] = {
    "paper": "#15181c",
    "panel": "#1d2126",
    "ink": "#e4e6e8",
    "muted": "#9aa2ac",
    "line": "#343a42",
    "c1": "#69c0ff",
    "c2": "#e57b3e",
    "c3": "#2fa97f",
    "c4": "#e497c1",
    "c5": "#eccb51",
}

# what to draw series in, in this order; beyond five, tell them apart by dashes
SERIES: tuple[str, ...] = tuple(LIGHT[role] for role in ("c1", "c2", "c3", "c4", "c5"))

# of maps, which are drawn once for both kinds of pages: they stand out from either
POSITIVE, NEGATIVE, STRENGTH = "#d4600f", "#2f7fc8", "#188f74"
