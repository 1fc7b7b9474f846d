"""The files of a deployment before Dagster reads them, which would answer what is wrong in them with a stack trace."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import yaml
from dagster.components.core.defs_module import ComponentFileModel

import pipelines
from pipelines.delivery.errors import ConfigurationError
from pipelines.delivery.wording import did_you_mean

_TYPES = [f"{pipelines.__name__}.{name}" for name in pipelines.__all__]
_EXAMPLE = f"Write the component's name, such as `type: {_TYPES[0]}`; there are {', '.join(_TYPES)}."


def check_files(defs: Path, root: Path) -> None:
    """That every `defs.yaml` is YAML, and has a component's type and the fields that a component's file has.

    Raises:
        ConfigurationError: names every fault with the file, from `root`, and its line.
    """
    found = [
        fault
        for path in sorted(defs.rglob("defs.yaml"))
        for fault in _faults(path, (path.relative_to(root) if path.is_relative_to(root) else path).as_posix())
    ]
    if found:
        do = next((fault.do for fault in found if fault.do), "Correct the file.")
        raise ConfigurationError("; ".join(fault.what.removesuffix(".") for fault in found), do=do)


@dataclass(frozen=True, slots=True)
class _Fault:
    what: str
    do: str = ""


def _faults(path: Path, file: str) -> Iterator[_Fault]:
    try:
        documents = list(yaml.compose_all(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader))
    except yaml.MarkedYAMLError as error:
        yield _Fault(f"{file}:{_line(error.problem_mark or error.context_mark)}: this is no YAML: {_problem(error)}")
        return
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        yield _Fault(f"{file} cannot be read: {' '.join(str(error).split())}")
        return
    if not any(documents):
        yield _Fault(f"{file} is empty: it says no type", _EXAMPLE)
    for document in filter(None, documents):
        yield from _of_document(document, file)


def _of_document(document: yaml.Node, file: str) -> Iterator[_Fault]:
    if not isinstance(document, yaml.MappingNode):
        yield _Fault(f"{file}:{_line(document.start_mark)}: a component's file begins with its type", _EXAMPLE)
        return
    for name, mark in _twice(document):
        yield _Fault(f"{file}:{_line(mark)}: {name} stands here twice, of which only the last would count")
    fields = {str(key.value): (key, value) for key, value in document.value}
    known = list(ComponentFileModel.model_fields)
    for name, (key, _) in fields.items():
        if name not in known:
            hint = did_you_mean(name, known) or f"there are: {', '.join(known)}"
            yield _Fault(f"{file}:{_line(key.start_mark)}: {name}: there is no such field; {hint}")
    if "type" in fields:
        yield from _of_type(fields["type"][1], file)
    elif not any(did_you_mean(name, ["type"]) for name in fields):
        yield _Fault(f"{file}:{_line(document.start_mark)}: type: must be given", _EXAMPLE)


def _of_type(node: yaml.Node, file: str) -> Iterator[_Fault]:
    name = node.value if isinstance(node, yaml.ScalarNode) else ""
    module, _, attribute = name.rpartition(".")
    if name in _TYPES or (module not in ("", pipelines.__name__) and _has(module, attribute)):
        return
    hint = did_you_mean(name if module else f"{pipelines.__name__}.{name}", _TYPES, most=1)
    what = f'there is no component "{name}"' if name else "it is no component's name"
    told = f"type: {what}{f'; {hint}' if hint else ''}"
    yield _Fault(f"{file}:{_line(node.start_mark)}: {told}", "" if hint else _EXAMPLE)


def _has(module: str, attribute: str) -> bool:
    """Whether a module of the user's has the name; one that breaks when imported breaks again, in Dagster's hands."""
    try:
        return hasattr(import_module(module), attribute)
    except ModuleNotFoundError as error:
        return not (error.name and f"{module}.".startswith(f"{error.name}."))
    except Exception:  # noqa: BLE001 - whatever their code raises, they see it with its stack trace
        return True


def _twice(node: yaml.Node) -> Iterator[tuple[str, yaml.Mark]]:
    """Names that stand twice in one group of fields, at any depth."""
    if isinstance(node, yaml.MappingNode):
        seen = set()
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    yield str(key.value), key.start_mark
                seen.add(key.value)
            yield from _twice(value)
    elif isinstance(node, yaml.SequenceNode):
        for one in node.value:
            yield from _twice(one)


def _line(mark: yaml.Mark | None) -> int:
    return mark.line + 1 if mark else 1


def _problem(error: yaml.MarkedYAMLError) -> str:
    said = str(error.problem or error.context)
    if r"'\t'" in said:
        return "a tab stands where only spaces may stand"
    begun = error.context_mark
    return said + (f" ({error.context}, which begins in line {_line(begun)})" if begun and error.problem else "")
