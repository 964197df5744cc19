"""What happened on a server, by the clock of whoever waits for it: clocks differ, jump and stand still."""

from datetime import UTC, datetime, timedelta

import pytest

from infra.process import uptime
from infra.work_pool import _Sent

CREATED = datetime(2020, 1, 1, tzinfo=UTC)  # the server's clock may be years away


def test_what_happened_since_it_was_sent_is_as_long_ago_here_as_there() -> None:
    sent = _Sent(uptime() - 100, CREATED)
    assert uptime() - sent.here(CREATED + timedelta(seconds=40)) == pytest.approx(60, abs=1)


def test_time_for_which_this_machine_slept_is_made_up_for() -> None:
    sent = _Sent(uptime() - 100, CREATED)  # by its own clock; on the server two hours went by
    assert uptime() - sent.here(CREATED + timedelta(hours=2)) == pytest.approx(0, abs=1)
    assert uptime() - sent.here(CREATED + timedelta(hours=1)) == pytest.approx(3600, abs=1)
