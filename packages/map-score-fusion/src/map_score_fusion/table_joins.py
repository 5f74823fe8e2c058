"""Tables of the same images in several files, joined into one."""

from pathlib import Path
from typing import Any

import pandas as pd

from map_score_fusion.errors import ScoreTableError
from map_score_fusion.table_shape import mostly_numbers

_SAME_IMAGES = 0.5  # share of the smaller table's names that must be in the other's
_KEY = "\0key"


def joined(tables: list[tuple[Path, pd.DataFrame]]) -> tuple[pd.DataFrame, str]:
    """Join tables of the same images, each with other columns, by the names of the images.

    The columns that name the images are found: in each file the column of text whose entries are those of the first
    file's, exactly, or without regard to case, folders and the suffix.

    Args:
        tables: Each file with its content.

    Returns:
        One table with all columns, and how it was made, in a sentence.

    Raises:
        ScoreTableError: No columns name the same images, a name is there twice, or two files disagree on a column.
    """
    (first_path, whole), *others = tables
    said = []
    for path, table in others:
        key, other_key, how = _common_key(first_path, whole, path, table)
        left, right = whole[key].map(how), table[other_key].map(how)
        for where, labels in ((first_path, left), (path, right)):
            if labels.duplicated().any():
                raise ScoreTableError(
                    f"{where}: {labels[labels.duplicated()].iloc[0]!r} is there twice; files are joined by images"
                )
        clash = [name for name in table.columns if name in whole.columns and name not in (key, other_key)]
        whole = whole.assign(**{_KEY: left})
        table = table.assign(**{_KEY: right})
        for name in clash:
            both = whole.set_index(_KEY)[name].to_frame("a").join(table.set_index(_KEY)[name].rename("b"), how="inner")
            if not (both["a"].eq(both["b"]) | (both["a"].isna() & both["b"].isna())).all():
                raise ScoreTableError(
                    f"{first_path} and {path} both have a column {name!r}, and differ in it; rename one"
                )
        alone = int((~right.isin(left)).sum()), int((~left.isin(right)).sum())
        joined_table = whole.merge(
            table.drop(columns=clash), on=_KEY, how="outer", sort=False, suffixes=("", " of the other")
        )
        if other_key != key:
            joined_table[key] = joined_table[key].fillna(joined_table[other_key])
            joined_table = joined_table.drop(columns=other_key)
        elif f"{key} of the other" in joined_table:
            joined_table[key] = joined_table[key].fillna(joined_table.pop(f"{key} of the other"))
        whole = joined_table.drop(columns=_KEY)
        said.append(
            f"joined {path} by {other_key!r}"
            + (f" ({alone[0]:,} images are in it alone, {alone[1]:,} not in it)" if any(alone) else "")
        )
    return whole.reset_index(drop=True), "; ".join(said)


def _plain(label: object) -> str:
    return str(label)


def _loose(label: object) -> str:
    return Path(str(label).replace("\\", "/")).stem.casefold()


def _common_key(first_path: Path, first: pd.DataFrame, path: Path, table: pd.DataFrame) -> tuple[str, str, Any]:
    """Return the columns of the two tables that name the same images, and what makes their entries the same."""
    texts = [[str(name) for name in one.columns if not mostly_numbers(one[name])] for one in (first, table)]
    if not all(texts):  # images called by numbers
        texts = [[str(name) for name in one.columns] for one in (first, table)]
    for how in (_plain, _loose):
        candidates = []
        for name in texts[0]:
            left = set(first[name].dropna().map(how))
            for other in texts[1]:
                right = set(table[other].dropna().map(how))
                same = len(left & right)
                if same > 1 and same >= _SAME_IMAGES * min(len(left), len(right)):
                    candidates.append((same, name, other))
        if candidates:
            _, name, other = max(candidates, key=lambda one: one[0])
            return name, other, how
    seen = [
        f"{where} has {', '.join(f'{name}: {one[name].iloc[0]}' for name in names[:3])}"
        for where, one, names in ((first_path, first, texts[0]), (path, table, texts[1]))
    ]
    raise ScoreTableError(f"no columns of {first_path} and {path} name the same images ({'; '.join(seen)})")
