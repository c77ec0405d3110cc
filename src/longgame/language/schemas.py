"""JSON schemas that a model is asked to follow: checked, bounded, and never fetched from anywhere.

``jsonschema`` checks schemas and objects; it is imported when first used (extra ``remote``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from typing import Any

from longgame.errors import ConfigError, MissingExtra


def checked(schema: Mapping[str, Any]) -> Any:
    """What validates objects against ``schema``. Raises ConfigError for one that is none or bounds not what it asks for."""
    if find_spec("jsonschema") is None:
        raise MissingExtra("an object of a schema", "jsonschema", "remote")
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import SchemaError
    from referencing import Registry

    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as wrong:
        raise ConfigError(f"generate: the schema is none ({' '.join(wrong.message.split())[:200]})") from None
    if schema.get("type") != "object":
        raise ConfigError(f'generate: the schema must be of type "object", got {schema.get("type")!r}')
    for at, part in parts(schema, "schema"):
        kind = part.get("type")
        lacks = [w for k, w in (("string", "maxLength"), ("array", "maxItems")) if k == kind and w not in part]
        if lacks and not {"enum", "const"} & part.keys():
            raise ConfigError(f"generate: {at} must have {lacks[0]}: a small model may else never end")
    return Draft202012Validator(schema, registry=Registry())  # an empty registry: a reference leads nowhere outside


def parts(schema: Any, at: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every schema within ``schema`` that is one by where it stands, with its place."""
    if not isinstance(schema, Mapping):
        return
    yield at, schema
    for word in ("properties", "$defs", "patternProperties"):
        for name, part in (schema.get(word) or {}).items():
            yield from parts(part, f"{at}.{name}")
    for word in ("items", "additionalProperties", "not", "contains"):
        yield from parts(schema.get(word), f"{at}.{word}")
    for word in ("anyOf", "oneOf", "allOf", "prefixItems"):
        for n, part in enumerate(schema.get(word) or ()):
            yield from parts(part, f"{at}.{word}.{n}")


def strict(schema: Mapping[str, Any]) -> bool:
    """Whether a server's strict mode can follow it: every property is required, and there are no others."""
    kinds = [part for _, part in parts(schema, "") if part.get("type") == "object"]
    return all(
        part.get("additionalProperties") is False and set(part.get("properties", ())) == set(part.get("required", ()))
        for part in kinds
    )
