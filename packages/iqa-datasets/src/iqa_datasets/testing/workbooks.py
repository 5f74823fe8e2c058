"""Writing small Excel workbooks (.xlsx): values only, the same arguments give the same bytes."""

import math
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final
from xml.sax.saxutils import escape, quoteattr

_MAIN: Final = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_RELATIONS: Final = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE: Final = "http://schemas.openxmlformats.org/package/2006"
_TYPES: Final = "application/vnd.openxmlformats-officedocument.spreadsheetml"
_HEAD: Final = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>'


def write_xlsx(path: Path, sheets: Mapping[str, Iterable[Sequence[object]]]) -> None:
    """Write a workbook.

    Args:
        path: where; its folder is made.
        sheets: by the sheet's name its rows, of texts, numbers and None. A number that is not finite becomes Excel's
            error value.
    """
    named = [(name, f"worksheets/sheet{number}.xml") for number, name in enumerate(sheets, start=1)]
    kind = "application/vnd.openxmlformats-package.relationships+xml"
    overrides = [("workbook.xml", "sheet.main"), *((file, "worksheet") for _, file in named)]
    listed = "".join(
        f'<sheet name={quoteattr(name)} sheetId="{number}" r:id="rId{number}"/>'
        for number, (name, _) in enumerate(named, start=1)
    )
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{_PACKAGE}/content-types">'
        f'<Default Extension="rels" ContentType="{kind}"/>'
        + "".join(f'<Override PartName="/xl/{file}" ContentType="{_TYPES}.{what}+xml"/>' for file, what in overrides)
        + "</Types>",
        "_rels/.rels": _relations([("officeDocument", "xl/workbook.xml")]),
        "xl/workbook.xml": f'<workbook xmlns="{_MAIN}" xmlns:r="{_RELATIONS}"><sheets>{listed}</sheets></workbook>',
        "xl/_rels/workbook.xml.rels": _relations([("worksheet", file) for _, file in named]),
    }
    for (_, file), rows in zip(named, sheets.values(), strict=True):
        data = "".join(_row(number, values) for number, values in enumerate(rows, start=1))
        parts[f"xl/{file}"] = f'<worksheet xmlns="{_MAIN}"><sheetData>{data}</sheetData></worksheet>'
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in parts.items():
            # Without the time of writing.
            archive.writestr(zipfile.ZipInfo(name, (2000, 1, 1, 0, 0, 0)), _HEAD + text, zipfile.ZIP_DEFLATED)


def _row(number: int, values: Sequence[object]) -> str:
    cells = "".join(_cell(f"{_letters(column)}{number}", value) for column, value in enumerate(values))
    return f'<row r="{number}">{cells}</row>'


def _relations(targets: Sequence[tuple[str, str]]) -> str:
    entries = "".join(
        f'<Relationship Id="rId{number}" Type="{_RELATIONS}/{kind}" Target="{target}"/>'
        for number, (kind, target) in enumerate(targets, start=1)
    )
    return f'<Relationships xmlns="{_PACKAGE}/relationships">{entries}</Relationships>'


def _letters(column: int) -> str:
    letters = ""
    while column >= 0:
        letters = chr(ord("A") + column % 26) + letters
        column = column // 26 - 1
    return letters


def _cell(place: str, value: object) -> str:
    if value is None or value == "":
        return ""
    if isinstance(value, int | float) and not isinstance(value, bool):
        if not math.isfinite(value):
            return f'<c r="{place}" t="e"><v>#NUM!</v></c>'
        return f'<c r="{place}"><v>{value!r}</v></c>'
    return f'<c r="{place}" t="inlineStr"><is><t xml:space="preserve">{escape(str(value))}</t></is></c>'
