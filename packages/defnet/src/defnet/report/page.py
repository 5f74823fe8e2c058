"""A page of text, tables and pictures that stands alone: one HTML file with nothing beside it and no script."""

import base64
from collections.abc import Mapping, Sequence
from html import escape

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #222; max-width: 72rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2rem; }
p { max-width: 46rem; } img { max-width: 100%; height: auto; }
table { border-collapse: collapse; } td, th { padding: .2rem .9rem .2rem 0; text-align: right; }
td:first-child, th:first-child { text-align: left; } tr { border-bottom: 1px solid #ddd; }
"""


class Page:
    """Gathers what stands on a page, in order.

    Args:
        title: its title.
    """

    def __init__(self, title: str) -> None:
        self._title = escape(title)
        self._parts = [f"<h1>{self._title}</h1>"]

    def heading(self, text: str) -> None:
        """Begin a section."""
        self._parts.append(f"<h2>{escape(text)}</h2>")

    def paragraph(self, text: str) -> None:
        """Add a paragraph."""
        self._parts.append(f"<p>{escape(text)}</p>")

    def table(self, titles: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Add a table."""
        head = "".join(f"<th>{escape(title)}</th>" for title in titles)
        body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>\n" for row in rows)
        self._parts.append(f"<table><tr>{head}</tr>\n{body}</table>")

    def pictures(self, pictures: Mapping[str, bytes]) -> None:
        """Add PNG pictures side by side, by what to call them."""
        shown = (
            f'<img alt="{escape(name)}" src="data:image/png;base64,{base64.b64encode(content).decode("ascii")}">'
            for name, content in pictures.items()
        )
        self._parts.append(f"<div>{' '.join(shown)}</div>")

    def html(self) -> str:
        """The whole file."""
        body = "\n".join(self._parts)
        return (
            f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{self._title}</title>\n'
            f"<style>{_STYLE}</style>\n</head>\n<body>\n{body}\n</body>\n</html>\n"
        )
