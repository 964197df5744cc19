"""What a run says in a terminal: an error of ours tells a person what is wrong and what to do, so it stands alone there.
Prefect would put two tracebacks of itself around it; the run's log in the UI keeps them."""

from __future__ import annotations

import copy
import dis
import logging

from prefect.logging.formatters import PrefectFormatter

OURS = {"flows", "infra", "tasks"}


class Brief(PrefectFormatter):
    """Prefect's own, without the traceback of an error that is for a person. Any other error keeps it: nobody foresaw it."""

    def format(self, record: logging.LogRecord) -> str:
        """The lines of a record, which itself stays as it is for other handlers."""
        if isinstance(record.exc_info, tuple) and is_for_people(record.exc_info[1]):
            record = copy.copy(record)
            record.exc_info = record.exc_text = None
        return super().format(record)


def is_for_people(error: BaseException | None) -> bool:
    """Whether somebody here wrote this error, and with it what to do: its type is ours, or it is a ValueError and a `raise`
    of ours. One that comes out of a library, or of an expression of ours, is none."""
    if _ours(type(error).__module__):
        return True
    if type(error) is not ValueError or (trace := error.__traceback__) is None:
        return False
    while trace.tb_next is not None:
        trace = trace.tb_next
    raised = trace.tb_frame.f_code.co_code[trace.tb_lasti] == dis.opmap["RAISE_VARARGS"]
    return raised and _ours(trace.tb_frame.f_globals.get("__name__", ""))


def _ours(module: str) -> bool:
    return module.partition(".")[0] in OURS
