"""A spec as a component: read from its YAML file, with errors that name file, line and field."""

from __future__ import annotations

import os
import re
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, Self

import dagster as dg
from dagster.components.resolved.errors import ResolutionException
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from pipelines.delivery.errors import ConfigurationError, MissingSetting, PipelinesError
from pipelines.delivery.redact import redact
from pipelines.delivery.wording import faults

_NAME = re.compile(r"\{\{\s*([A-Za-z_]\w*)")
_ENVIRONMENT = re.compile(r"\benv(?:\.|\s*\(\s*['\"])(\w+)")
_VARIABLE = re.compile(r"\{\{\s*env\.(\w+)\s*\}\}")


class SpecComponent(dg.Component):
    """Mixed into a pydantic spec, makes it a component whose attributes are the spec's fields.

    Dagster's own `Resolvable` refuses models whose nested fields carry pydantic constraints (1.13.27). This way the
    spec's whole validation applies, and to the values that stand where the file says `{{ env.NAME }}`.
    """

    file: ClassVar[str] = ""
    """The YAML file that the component was read from, from the project's folder; empty for one made in Python."""

    @classmethod
    def get_model_cls(cls) -> type[BaseModel] | None:
        """What the file's attributes are before template values are filled in."""
        return _written(cls) if issubclass(cls, BaseModel) else None

    @classmethod
    def load(cls, attributes: BaseModel | None, context: dg.ComponentLoadContext) -> Self:
        """The spec with its template values filled in.

        Raises:
            ConfigurationError: names the file, and each wrong field with its line.
            MissingSetting: a variable that a field is to be filled with is not set.
        """
        written = attributes.model_dump() if attributes is not None else {}
        file, resolution = _file_of(context), context.resolution_context
        try:
            spec = cls(**_filled(written, file, resolution.at_path("attributes")))
        except ValidationError as error:
            what = redact(_wrong_fields(error, cls, file, resolution), _from_environment(written))
            raise ConfigurationError(what, do="Correct the file.") from None
        object.__setattr__(spec, "file", file)
        return spec

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """The spec's assets."""
        with located(self):
            return dg.Definitions(assets=self.assets(context))

    @abstractmethod
    def assets(self, context: dg.ComponentLoadContext) -> list[Any]:
        """The assets, as `Definitions` takes them.

        Raises:
            ConfigurationError: the spec names something that the deployment does not have.
        """


@contextmanager
def located(spec: object) -> Iterator[None]:
    """Put the file of a spec, where it has one, before whatever is wrong with it."""
    try:
        yield
    except PipelinesError as error:
        file = spec.file if isinstance(spec, SpecComponent) else ""
        if not file or error.what.startswith(file):
            raise
        raise type(error)(f"{file}: {error.what}", do=error.do, **error.facts) from error


def folder_of(context: dg.ComponentLoadContext) -> Path:
    """The deployment's folder, to which `files` are relative: the one that holds `defs/`."""
    return context.component_tree.defs_module_path.parent


class _Written(BaseModel):
    """Attributes as they are written: whatever fields the file has. The spec decides on them later."""

    model_config = ConfigDict(extra="allow")

    spec: ClassVar[type[BaseModel]]

    @classmethod
    def model_json_schema(cls, **options: Any) -> dict[str, Any]:  # pyright: ignore[reportIncompatibleMethodOverride] - the same options, passed on
        """The spec's schema, for `dg check yaml`, editors and Dagster's pages of components."""
        return cls.spec.model_json_schema(**{"schema_generator": _OrTemplate, **options})


class _OrTemplate(GenerateJsonSchema):
    """A JSON schema in which a template may stand for what is no free text."""

    def literal_schema(self, schema: core_schema.LiteralSchema) -> JsonSchemaValue:
        return _or_template(super().literal_schema(schema))

    def bool_schema(self, schema: core_schema.BoolSchema) -> JsonSchemaValue:
        return _or_template(super().bool_schema(schema))

    def int_schema(self, schema: core_schema.IntSchema) -> JsonSchemaValue:
        return _or_template(super().int_schema(schema))

    def float_schema(self, schema: core_schema.FloatSchema) -> JsonSchemaValue:
        return _or_template(super().float_schema(schema))

    def str_schema(self, schema: core_schema.StringSchema) -> JsonSchemaValue:
        made = super().str_schema(schema)
        return _or_template(made) if made.keys() != {"type"} else made


def _or_template(schema: JsonSchemaValue) -> JsonSchemaValue:
    """Not `anyOf`, after which `dg check yaml` could not say what was expected."""
    return {"if": {"type": "string", "pattern": r"\{\{.*\}\}"}, "else": schema}


def _written(spec: type[BaseModel]) -> type[BaseModel]:
    return type(spec.__name__, (_Written,), {"spec": spec, "__module__": spec.__module__, "__doc__": spec.__doc__})


def _filled(value: Any, file: str, context: dg.ResolutionContext) -> Any:
    """The value with its templates filled in. A text without one stays as it is: Dagster would make "1" a number."""
    if isinstance(value, Mapping):
        return {name: _filled(one, file, context.at_path(name)) for name, one in value.items()}
    if isinstance(value, list):
        return [_filled(one, file, context.at_path(at)) for at, one in enumerate(value)]
    if not isinstance(value, str) or "{{" not in value:
        return value
    place = f"{_place(file, context, context.path)}: {context.path[-1]}"
    do = "In double braces stands {{ env.NAME }}; a column stands in single ones."
    for name in _NAME.findall(value):
        if name not in context.scope:  # Dagster would put nothing in its place
            raise ConfigurationError(f"{place}: {value!r} cannot be filled in: there is no {name!r}", do=do)
    for name in _VARIABLE.findall(value):
        if name not in os.environ:  # Dagster would put None in its place
            raise MissingSetting(
                f"{place}: the environment variable {name} is not set",
                do=f"Set it, or give a value to use without it: {{{{ env('{name}', 'value') }}}}.",
                setting=name,
            )
    try:
        return context.resolve_value(value)
    except ResolutionException as error:
        said = redact(str(error).strip().rpartition("\n")[2], _from_environment(value))
        raise ConfigurationError(f"{place}: {value!r} cannot be filled in: {said}", do=do) from None


def _from_environment(value: Any) -> set[str]:
    """What the environment puts into these attributes, of which any may be a secret."""
    if isinstance(value, Mapping):
        return {text for one in value.values() for text in _from_environment(one)}
    if isinstance(value, list):
        return {text for one in value for text in _from_environment(one)}
    names = _ENVIRONMENT.findall(value) if isinstance(value, str) else []
    return {os.environ[name] for name in names if name in os.environ}


def _file_of(context: dg.ComponentLoadContext) -> str:
    path = context.component_path.file_path
    file = path / "defs.yaml" if path.is_dir() else path
    root = context.project_root
    return (file.relative_to(root) if file.is_relative_to(root) else file).as_posix()


def _place(file: str, context: dg.ResolutionContext, path: Sequence[str | int]) -> str:
    tree = context.source_position_tree
    return f"{file}:{tree.lookup_closest_and_path(path, None)[0].start.line}" if tree else file


def _wrong_fields(error: ValidationError, spec: type, file: str, context: dg.ResolutionContext) -> str:
    """A sentence per wrong field; what it holds is not repeated, since it may come from the environment."""
    said = []
    for fault in faults(error, spec):
        # A validator of the whole spec begins with the name of the field.
        path = fault.path or (fault.why.partition(":")[0],)
        words = ": ".join(filter(None, (".".join(map(str, fault.path)), fault.why)))
        said.append(f"{_place(file, context, ['attributes', *path])}: {words.removesuffix('.')}")
    return "; ".join(said)
