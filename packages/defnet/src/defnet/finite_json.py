"""JSON that every reader takes: without NaN and infinities, which JSON does not have."""

import json
import math
from typing import Any


def to_json(value: Any) -> str:
    """One line of JSON; figures that could not be computed (NaN, infinities) become null, which JSON has."""
    return json.dumps(_finite(value), ensure_ascii=False)


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {name: _finite(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value
