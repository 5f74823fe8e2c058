"""Single fields of a configuration set from outside it: `optimizer.learning_rate=1e-5`, as on a command line."""

import tomllib
from collections.abc import Sequence
from typing import Any

from defnet.errors import ConfigError


def with_settings(content: dict[str, Any], settings: Sequence[str]) -> dict[str, Any]:
    """Set fields of a configuration that is not validated yet.

    Args:
        content: as TOML gave it; it is left as it is.
        settings: each `KEY=VALUE`. The key is the field's name, dots between tables; an entry of `data` goes by its
            number from 0, by its `name`, or by `*` for all of them. The value is what would stand in a TOML file
            (`1e-5`, `true`, `["quality"]`), where quotes around a plain text may be left out; `null` is None. Of two
            for one field the later one counts.

    Raises:
        ConfigError: a setting is none, or goes through something that has no fields. Whether there is such a field, and
            whether it may have this value, shows when the configuration is validated.

    Example:
        >>> with_settings({"epochs": 80}, ["epochs=2", "backbone.pretrained=null"])
        {'epochs': 2, 'backbone': {'pretrained': None}}
    """
    result: Any = _copy(content)
    for setting in settings:
        key, separator, text = setting.partition("=")
        names = key.strip().split(".")
        if not separator or not all(names):
            raise ConfigError(f"{setting!r} sets nothing: write KEY=VALUE, such as optimizer.learning_rate=1e-5")
        _set(result, names, _value(text.strip()), key.strip())
    return dict(result)


def _set(place: Any, names: list[str], value: Any, key: str) -> None:
    name, *rest = names
    if isinstance(place, list):
        chosen = _entries(place, name, key)
        for entry in chosen:
            if rest:
                _set(place[entry], rest, value, key)
            else:
                place[entry] = value
    elif not isinstance(place, dict):
        raise ConfigError(f"{key}: there is no {name!r} in {place!r}")
    elif rest:
        _set(place.setdefault(name, {}), rest, value, key)
    else:
        place[name] = value


def _entries(place: list[Any], name: str, key: str) -> list[int]:
    if name == "*":
        return list(range(len(place)))
    if name.isdigit() and int(name) < len(place):
        return [int(name)]
    named = [number for number, entry in enumerate(place) if isinstance(entry, dict) and entry.get("name") == name]
    if not named:
        known = ", ".join(str(e["name"]) for e in place if isinstance(e, dict) and "name" in e)
        raise ConfigError(f"{key}: {name!r} is none of the {len(place)} entries{f' ({known})' if known else ''}")
    return named


def _value(text: str) -> Any:
    if text == "null":
        return None
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _copy(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _copy(item) for name, item in value.items()}
    return [_copy(item) for item in value] if isinstance(value, list | tuple) else value
