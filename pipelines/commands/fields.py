"""`pipelines fields`: every field of the YAML and every setting, written down from the models that check them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

import pipelines
from pipelines.commands.fields_rows import chapters
from pipelines.commands.markdown import anchor, contents, grid, paragraph, prose
from pipelines.components.operations.channels import SMTP
from pipelines.components.operations.spec import OperationsSpec
from pipelines.destinations.accounts import Settings, variable
from pipelines.destinations.base import SyncSpec
from pipelines.tables.base_spec import BaseTableSpec

Schema = Mapping[str, Any]

_TITLE = """\
# Fields

Every field of the components that `defs.yaml` files use, how values are read and written, and every setting that is
read from the environment.
`pipelines fields` prints this page from the models that check them: edit the models, not the page.

Only what is marked as required must be given; a field with an empty default is unset unless it is given. A misspelt
field is an error that names file, line and field. A yes/no is written `true` or `false`; a plain value is a text, a
number or a yes/no. Any value may be `{{ env.NAME }}`: the content of that environment variable.
"""
_ACCOUNTS = """\
A sync names its account: one set of credentials of one API. The account `vs_prod` reads the variables `VS_PROD_...`,
shown here as `<ACCOUNT>_...`. Each may be given as a file that holds the value instead: `<ACCOUNT>_URL_FILE` is the
path of a file with what `<ACCOUNT>_URL` would say. An empty variable counts as not set.

Mode `live` needs all that are required. Mode `sandbox` needs none: without `<ACCOUNT>_URL`, address and credentials are
those of this home's sandbox. Mode `dry` reads none.
"""
_TOLD = """\
A deployment has at most one file with `type: pipelines.Operations`. Without it nothing is told, and nothing is
scheduled but its tables.
"""
ENVIRONMENT: Mapping[str, tuple[str, str]] = {
    "PIPELINES_HOME": (
        "`pipelines` in the user's data folder (on Linux `~/.local/share/pipelines`)",
        "Folder of the deployment's own files: ledger, partition store, Dagster's instance, sandbox.",
    ),
    "PIPELINES_LEDGER_URL": (
        "`ledger.db` in that folder",
        "The ledger's SQLAlchemy URL. `postgresql://...` needs extra `postgres`; the password makes it **secret**.",
    ),
    "PIPELINES_STORE_URL": (
        "`store` in that folder",
        "The tables' partitions: a folder, or an address such as `s3://bucket/folder` with its fsspec package.",
    ),
    "PIPELINES_DAGSTER_URL": (
        "SQLite files in that folder",
        "A `postgresql://` URL for Dagster's runs and events, with extra `postgres`; its password makes it **secret**.",
    ),
    "PIPELINES_KEEP_RUNS_DAYS": (
        "`90`",
        "For how many days the job `maintenance` keeps runs and their events; what is shown of partitions stays.",
    ),
    "PIPELINES_KEEP_DELIVERIES_DAYS": (
        "`400`",
        "For how many days `pipelines ledger prune` keeps the history of deliveries and decisions.",
    ),
}
"""What the package itself reads from the environment, whoever reads it: default and meaning."""

_SCALARS = {"string": "text", "number": "number", "integer": "whole number", "boolean": "yes/no"}
_PLAIN_VALUE = frozenset(_SCALARS.values())
_UNQUOTED = re.compile(r"(?!(?:true|false|null|yes|no|on|off)$)[A-Za-z](?:[\w./-]|:(?! )| (?! ))*", re.IGNORECASE)


def render() -> str:
    """The document, as Markdown."""
    components = [getattr(pipelines, name) for name in pipelines.__all__]
    tables = [one for one in components if issubclass(one, BaseTableSpec)]
    syncs = [one for one in components if issubclass(one, SyncSpec)]
    others = [one for one in components if one not in {*tables, *syncs}]
    book = _Book.of({BaseTableSpec: "Every table", SyncSpec: "Every sync"}, components)
    parts = [
        *("## Tables\n", *book.chapter(BaseTableSpec, tables)),
        *("## Syncs\n", *book.chapter(SyncSpec, syncs)),
        *("## Standing checks\n", *book.alone([one for one in others if not issubclass(one, OperationsSpec)])),
        *chapters(),
        *("## Accounts\n", _ACCOUNTS, *_accounts(syncs)),
        *("## What is told\n", _TOLD, *book.alone([one for one in others if issubclass(one, OperationsSpec)])),
        *("### Mail\n", grid(("Variable", "Default", "Meaning"), _variables(SMTP))),
        *("## The package's own variables\n", grid(("Variable", "Default", "Meaning"), _variables(ENVIRONMENT))),
    ]
    return "\n".join([_TITLE, contents(parts), *parts])


@dataclass(frozen=True, slots=True)
class _Book:
    """The JSON schemas of all models, by pydantic's name for them, and the heading under which each stands."""

    schemas: Mapping[str, Schema]
    headings: Mapping[str, str]
    keys: Mapping[type[BaseModel], str]

    @classmethod
    def of(cls, bases: Mapping[type[BaseModel], str], components: Sequence[type[BaseModel]]) -> _Book:
        models = [*bases, *components]
        refs, whole = models_json_schema([(model, "validation") for model in models])
        keys = {model: _key(refs[model, "validation"]["$ref"]) for model in models}
        schemas: dict[str, Schema] = whole["$defs"]
        headings = {key: _words(schema["title"]) for key, schema in schemas.items()}
        headings |= {keys[model]: model.__name__ for model in components}
        headings |= {keys[base]: heading for base, heading in bases.items()}
        return cls(schemas, headings, keys)

    def chapter(self, base: type[BaseModel], components: Sequence[type[BaseModel]]) -> Iterator[str]:
        """The fields that all of the components have, then those of each; a part's fields after its first user's."""
        base_key = self.keys[base]
        told = {base_key}
        yield self._section(base_key, "###", _fields(self.schemas[base_key]))
        yield from self._parts(self.schemas[base_key]["properties"], told)
        for component in components:
            key = self.keys[component]
            fields = _differing(_fields(self.schemas[key]), _fields(self.schemas[base_key]))
            beside = f"Beside the fields of [{self.headings[base_key].lower()}](#{anchor(self.headings[base_key])}):"
            if issubclass(component, SyncSpec):
                names = ", ".join(f"`{name}`" for name in component.comparable)
                beside = f"`send_when` may name {names}. {beside}"
            yield self._section(key, "###", fields, beside)
            yield from self._parts([schema for schema, _ in fields.values()], told)

    def alone(self, components: Sequence[type[BaseModel]]) -> Iterator[str]:
        """The fields of components that share none with others."""
        told: set[str] = set()
        for component in components:
            key = self.keys[component]
            yield self._section(key, "###", _fields(self.schemas[key]))
            yield from self._parts(self.schemas[key]["properties"], told)

    def _parts(self, schema: Any, told: set[str]) -> Iterator[str]:
        for key in _references(schema):
            if key not in told:
                told.add(key)
                yield self._section(key, "####", _fields(self.schemas[key]))
                yield from self._parts(self.schemas[key]["properties"], told)

    def _section(self, key: str, level: str, fields: Fields, beside: str = "") -> str:
        rows = [
            (
                f"`{name}`",
                self.type_of(schema),
                _default(schema, required=required),
                prose(schema.get("description", "")),
            )
            for name, (schema, required) in fields.items()
        ]
        said = [paragraph(self.schemas[key].get("description", "")), *([beside] if beside else [])]
        table = grid(("Field", "Type", "Default", "Meaning"), rows)
        return "\n\n".join([f"{level} {self.headings[key]}", *said, table])

    def type_of(self, schema: Schema) -> str:
        """The type in words; a part's is a link to its fields."""
        if "$ref" in schema:
            heading = self.headings[_key(schema["$ref"])]
            return f"[{heading}](#{anchor(heading)})"
        if "const" in schema or "enum" in schema:
            words = [f"`{_yaml(one)}`" for one in schema.get("enum", [schema.get("const")])]
            return words[0] if len(words) == 1 else f"one of {', '.join(words)}"
        if "anyOf" in schema:
            return self._either(schema)
        if schema["type"] == "array":
            return f"list of {self.type_of(schema['items'])}"
        if schema["type"] == "object":
            return f"names, each with {self.type_of(schema['additionalProperties'])}"
        return _SCALARS[schema["type"]] + _bounds(schema)

    def _either(self, schema: Schema) -> str:
        # That null may be written tells something only where it is not what is meant anyway.
        unsaid = "default" in schema and schema["default"] is None
        options = [one for one in schema["anyOf"] if one != {"type": "null"}]
        words = list(dict.fromkeys(self.type_of(one) for one in options))
        if _PLAIN_VALUE.issubset(words):
            words = ["plain value", *(word for word in words if word not in _PLAIN_VALUE)]
        if len(options) < len(schema["anyOf"]) and not unsaid:
            words.append("`null`")
        return " or ".join(words)


Fields = Mapping[str, tuple[Schema, bool]]
"""The schema of each field, and whether it is required."""


def _fields(schema: Schema) -> Fields:
    return {name: (one, name in schema.get("required", ())) for name, one in schema["properties"].items()}


def _differing(fields: Fields, base: Fields) -> Fields:
    return {name: field for name, field in fields.items() if base.get(name) != field}


def _accounts(syncs: Sequence[type[SyncSpec]]) -> Iterator[str]:
    common = _fields(Settings.model_json_schema())
    yield f"### Every account\n\n{_settings_grid(common)}"
    for sync in syncs:
        limits = sync.settings.live_limits
        rate = ", ".join(map(str, limits.windows)) or "no rate"
        yield (
            f"### Accounts of {sync.__name__}\n\n"
            "Beside the settings of [every account](#every-account), or in their place. In mode `live`, "
            f"`<ACCOUNT>_RATE` and `<ACCOUNT>_IN_FLIGHT` are {rate} and {limits.in_flight} unless they are set.\n\n"
            + _settings_grid(_differing(_fields(sync.settings.model_json_schema()), common))
        )


def _settings_grid(fields: Fields) -> str:
    rows = []
    for name, (schema, required) in fields.items():
        secret = "**Secret.** " if schema.get("format") == "password" else ""
        meaning = secret + prose(schema.get("description", ""))
        default = _default(schema, required=required, quoted=False)
        rows.append((f"`{variable('<account>', name)}`", default, meaning))
    return grid(("Variable", "Default", "Meaning"), rows)


def _variables(told: Mapping[str, tuple[str, str]]) -> Iterator[tuple[str, str, str]]:
    return ((f"`{name}`", default, meaning) for name, (default, meaning) in told.items())


def _references(schema: Any) -> Iterator[str]:
    """The models that a schema names, in order."""
    if isinstance(schema, Mapping):
        if "$ref" in schema:
            yield _key(schema["$ref"])
        schema = list(schema.values())
    if isinstance(schema, list):
        for one in schema:
            yield from _references(one)


def _key(reference: str) -> str:
    return reference.removeprefix("#/$defs/")


def _words(name: str) -> str:
    """A model's name as a heading: "AreaColumnsSpec" as "Area columns"."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name.removesuffix("Spec")).capitalize()


def _bounds(schema: Schema) -> str:
    if "maxLength" in schema and schema["maxLength"] == schema.get("minLength"):
        return f" of length {schema['maxLength']}"
    if "exclusiveMinimum" in schema:
        return f" above {schema['exclusiveMinimum']}"
    if "minimum" in schema and "maximum" in schema:
        return f" from {schema['minimum']} to {schema['maximum']}"
    return f", at least {schema['minimum']}" if "minimum" in schema else ""


def _default(schema: Schema, *, required: bool, quoted: bool = True) -> str:
    if required:
        return "**required**"
    value = schema.get("default")
    if value is None:
        return ""
    return f"`{value}`" if isinstance(value, str) and not quoted else f"`{_yaml(value)}`"


def _yaml(value: Any) -> str:
    """A value as one writes it on a line of YAML; of a part, what is set."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{name}: {_yaml(one)}" for name, one in value.items() if one is not None) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_yaml, value)) + "]"
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if isinstance(value, str) and _UNQUOTED.fullmatch(value) else orjson.dumps(value).decode()
