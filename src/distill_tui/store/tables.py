"""The rows that can be edited and written: one class for each table, derived from `rules.entities` and the schema.

There are no relationships, so reading an attribute of a row never touches the file.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, TypeVar, get_args, get_type_hints

from sqlalchemy import Column, Enum, Float, Integer, LargeBinary, MetaData, String, Table
from sqlalchemy.orm import registry

from distill_tui.rules import entities
from distill_tui.store import migrations

T = TypeVar("T")

_KINDS = {int: Integer, float: Float, str: String, bytes: LargeBinary}
_EDITABLE = {name: getattr(object, name) for name in ("__setattr__", "__delattr__", "__eq__", "__hash__")}
_registry = registry(metadata=MetaData())
_schema = migrations.new_file()


def _table(entity: type[T]) -> type[T]:
    """Make the class of an entity's rows that SQLAlchemy writes; the schema defines the columns."""
    name, hints = entities.TABLES[entity], get_type_hints(entity)
    columns = [
        Column(column, _kind(hints[column]), primary_key=key > 0, nullable=not (required or key))
        for _, column, _, required, _, key in _schema.execute(f"PRAGMA table_info({name})")
    ]
    made = type(entity.__name__, (entity,), {**_EDITABLE, "__module__": __name__})
    _registry.map_imperatively(made, Table(name, _registry.metadata, *columns))
    return made


def _kind(hint: Any) -> Any:
    """Return the type of a column; a word is stored by its value, and any other is refused, written or read."""
    plain = next((kind for kind in get_args(hint) if kind is not type(None)), hint)
    if not issubclass(plain, StrEnum):
        return _KINDS[plain]
    return Enum(plain, values_callable=lambda all_: [w.value for w in all_], native_enum=False, validate_strings=True)


Project = _table(entities.Project)
Person = _table(entities.Person)
Account = _table(entities.Account)
SshKey = _table(entities.SshKey)
Play = _table(entities.Play)
RoleHolder = _table(entities.RoleHolder)
Builder = _table(entities.Builder)
WorksheetValue = _table(entities.WorksheetValue)
GateRow = _table(entities.GateRow)
Traffic = _table(entities.Traffic)
DataSet = _table(entities.DataSet)
OpenedRow = _table(entities.OpenedRow)
ProviderTerms = _table(entities.ProviderTerms)
AcceptedFinding = _table(entities.AcceptedFinding)
DroppedRow = _table(entities.DroppedRow)
Run = _table(entities.Run)
RunPoint = _table(entities.RunPoint)
Evaluation = _table(entities.Evaluation)
SignOff = _table(entities.SignOff)
SpotCheck = _table(entities.SpotCheck)
Statement = _table(entities.Statement)
Withdrawal = _table(entities.Withdrawal)
Bundle = _table(entities.Bundle)
Feed = _table(entities.Feed)
Observation = _table(entities.Observation)
Watch = _table(entities.Watch)
RemedyRow = _table(entities.RemedyRow)
AuditEntry = _table(entities.AuditEntry)
