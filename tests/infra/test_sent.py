"""What happened on a server, by the clock of whoever waits for it: clocks differ, and are set."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.process import uptime
from infra.sent import Sent
from infra.work_pool_server import Life

CREATED = datetime(2020, 1, 1, tzinfo=UTC)  # the server's clock may be years away


def seconds(count: float) -> timedelta:
    return timedelta(seconds=count)


def life(*signs: float) -> Life:
    """With a sign after each of so many seconds."""
    return Life(frozenset((UUID(int=n), CREATED + seconds(after)) for n, after in enumerate(signs)), True)


def test_what_happened_since_it_was_sent_is_as_long_ago_here_as_there() -> None:
    sent = Sent(uptime() - 100, CREATED)
    sent.saw_state(CREATED + seconds(40), uptime())
    assert uptime() - sent.since == pytest.approx(60, abs=1)
    sent.saw_life(life(70), uptime())
    assert sent.silent(uptime()) == pytest.approx(30, abs=1)


@given(st.integers(-(10**6), 10**6), st.integers(-(10**6), 10**6))
def test_however_the_servers_clock_is_set_what_is_new_happened_since_the_last_look(state: int, sign: int) -> None:
    now = uptime()
    sent = Sent(now - 500, CREATED)
    sent.saw_state(CREATED, now - 50)
    sent.saw_life(life(), now - 20)
    sent.saw_state(CREATED + seconds(state), now)
    sent.saw_life(life(sign), now)
    if state:
        assert now - 50 <= sent.since <= uptime()
    assert sent.lived is not None and now - 20 <= sent.lived <= uptime()


def test_what_was_seen_before_grows_old_here_whatever_the_server_says() -> None:
    now = uptime()
    sent = Sent(now - 500, CREATED)
    sent.saw_state(CREATED + seconds(100), now - 300)
    sent.saw_life(life(150), now - 300)
    before = sent.silent(now)
    sent.saw_state(CREATED + seconds(100), now)
    sent.saw_life(life(150), now)
    assert sent.silent(now) == before == pytest.approx(350, abs=1)


def test_before_the_first_look_too_the_clock_may_have_been_set_back() -> None:
    now = uptime()
    sent = Sent(now - 500, CREATED)
    sent.saw_life(life(10, -7000), now)
    assert sent.silent(now) == pytest.approx(0, abs=1)


def test_a_sign_is_new_whose_date_is_older_than_that_of_the_one_before() -> None:
    now = uptime()
    sent = Sent(now - 500, CREATED)
    sent.saw_life(life(400), now - 90)
    assert sent.silent(now) == pytest.approx(100, abs=1)
    sent.saw_life(life(400, -7000), now)
    assert sent.silent(now) == pytest.approx(0, abs=1)
