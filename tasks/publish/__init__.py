"""Publish: the statement that people read, from finished results; no Prefect and no storage in here."""

from tasks.publish.artifacts import artifact_markdown, artifact_table
from tasks.publish.report import report_html
from tasks.publish.statement import statement_files
from tasks.publish.tables import credits_table, notes
from tasks.publish.terminal import terminal_table
from tasks.publish.types import PropertyResult, StatementData

__all__ = [
    "PropertyResult",
    "StatementData",
    "artifact_markdown",
    "artifact_table",
    "credits_table",
    "notes",
    "report_html",
    "statement_files",
    "terminal_table",
]
