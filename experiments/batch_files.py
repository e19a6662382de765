"""The file of a finished batch: the recorded rounds of its runs as a table, all else in the table's metadata."""

import json
import logging
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from experiments.files import whole_file
from experiments.records import trace_columns
from problems import InvalidInput

__all__ = ["FORMAT", "METADATA", "Done", "check_format", "read_done", "widen", "write_done", "write_table"]

METADATA = b"efsim"
FORMAT = 1  # of a results folder; raised when an older efsim could no longer read it

logger = logging.getLogger(__name__)


class Done(NamedTuple):
    """What the file of a finished batch says beside its table."""

    path: Path
    theorems: list[str]  # that it has columns for
    rows: list[dict[str, Any]]  # of its runs
    taken: dict[str, Any]  # where it was computed, and what it took

    @property
    def ids(self) -> list[str]:
        """The ids of its runs."""
        return [row["run"] for row in self.rows]


def write_done(done: Done, table: pa.Table) -> None:
    """The recorded rounds of a batch, and the rest beside them.

    Raises:
        CannotWrite: the file cannot be written.
    """
    path, *fields = done
    write_table(path, table, dict(zip(Done._fields[1:], fields, strict=True)))


def write_table(path: Path, table: pa.Table, about: dict[str, Any]) -> None:
    """A table with what is to be known about it in its metadata.

    Raises:
        CannotWrite: the file cannot be written.
    """
    metadata = {
        **(table.schema.metadata or {}),
        METADATA: json.dumps({"format": FORMAT} | about, default=_plain).encode(),
    }
    with whole_file(path) as temporary:
        pq.write_table(table.replace_schema_metadata(metadata), temporary, write_page_checksum=True)


def _plain(value: Any) -> Any:
    """A NumPy number as Python's."""
    return value.item()


def read_done(path: Path) -> Done | None:
    """What the file of a batch says; None if it is damaged, in which case the batch is computed again.

    Raises:
        InvalidInput: it was written by a newer efsim, or by one that did not say which runs it holds.
    """
    try:
        about = (pq.read_schema(path).metadata or {}).get(METADATA)
        fields = None if about is None else json.loads(about)
    except (OSError, ValueError, pa.ArrowException) as error:
        logger.warning("%s is damaged and is computed again: %s", path, error)
        return None
    if fields is None:
        raise InvalidInput(
            f"{path} was written by an older efsim, whose results cannot be added to; choose another folder"
        )
    check_format(path, fields)
    return Done(path, *(fields[name] for name in Done._fields[1:]))


def check_format(path: Path, fields: dict[str, Any]) -> None:
    """Raise InvalidInput if a newer efsim wrote the file."""
    if not isinstance(fields, dict):
        raise InvalidInput(f"{path} is damaged: it holds no table")
    found = fields.get("format", 0)
    if not isinstance(found, int) or found > FORMAT:
        raise InvalidInput(
            f"{path} was written by a newer efsim (format {found}; this one reads formats up to {FORMAT}); update efsim"
        )


def widen(batches: list[Done]) -> None:
    """Give every file the same columns: a method that was added later has other theorems, an older efsim had fewer."""
    theorems = sorted({name for batch in batches for name in batch.theorems})
    columns = trace_columns(theorems)
    for batch in batches:
        if pq.read_schema(batch.path).names != columns:
            table = pq.read_table(batch.path)
            missing = pa.array(np.full(len(table), np.nan))
            for name in columns:
                if name not in table.column_names:
                    table = table.append_column(name, missing)
            write_done(batch._replace(theorems=theorems), table.select(columns))
