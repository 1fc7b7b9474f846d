"""A spec as a component: read from its YAML file, with errors that name the file."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import dagster as dg
from pydantic import BaseModel

from pipelines.delivery.errors import ConfigurationError


class SpecComponent(dg.Component):
    """Mixed into a pydantic spec, makes it a component whose attributes are the spec's fields.

    Dagster's own `Resolvable` refuses models whose nested fields carry pydantic constraints (1.13.27). This way the spec's
    whole validation applies, and Dagster reports its errors with file and line. `{{ env.NAME }}` works as usual.
    """

    @classmethod
    def get_model_cls(cls) -> type[BaseModel] | None:
        """The spec itself."""
        return cls if issubclass(cls, BaseModel) else None

    @classmethod
    def load(cls, attributes: BaseModel | None, context: dg.ComponentLoadContext) -> Self:
        """The spec with its template values filled in."""
        written = attributes.model_dump(exclude_unset=True, by_alias=True) if attributes is not None else {}
        return cls(**context.resolution_context.at_path("attributes").resolve_value(written))

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """The spec's assets."""
        with located(context):
            return dg.Definitions(assets=self.assets(context))

    @abstractmethod
    def assets(self, context: dg.ComponentLoadContext) -> list[Any]:
        """The assets, as `Definitions` takes them.

        Raises:
            ConfigurationError: the spec names something that the deployment does not have.
        """


@contextmanager
def located(context: dg.ComponentLoadContext) -> Iterator[None]:
    """Put the file before whatever is wrong with it."""
    try:
        yield
    except ConfigurationError as error:
        path = context.component_path.file_path
        file = path / "defs.yaml" if path.is_dir() else path
        short = file.relative_to(context.project_root) if file.is_relative_to(context.project_root) else file
        raise type(error)(f"{short}: {error.what}", do=error.do, **error.facts) from error


def folder_of(context: dg.ComponentLoadContext) -> Path:
    """The deployment's folder, to which `files` are relative: the one that holds `defs/`."""
    return context.component_tree.defs_module_path.parent
