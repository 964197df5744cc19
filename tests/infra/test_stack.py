"""The stack of one machine, with real servers and workers: it comes up, mends itself, ends, and is found again."""

from __future__ import annotations

import os
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import FlowRun
from prefect.states import Running

from infra import stack
from infra.ports import free_port
from infra.process import machine
from infra.server import HOST
from infra.stack import files as stack_files
from infra.stack.files import State, read_settings, read_state
from infra.stack.members import GUARD, OBJECTS, SERVER, SUPERVISOR, WORKER, end_members, mark, members
from infra.stack.types import Files, Plan, StackError
from infra.store import Store
from tests.conftest import use

pytestmark = [pytest.mark.servers, pytest.mark.timeout(900)]  # tests wait for one another on a busy machine

ROOT = Path(__file__).parents[2]
DEPLOY = (sys.executable, "-m", "tests.infra.stack_flows")


def wait(until: Callable[[], Any], what: str, seconds: float = 240) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := until()):
        assert time.monotonic() < deadline, f"waited {seconds} s for {what}"
        time.sleep(0.2)
    return found


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    """A stack that is not started."""
    return Plan(tmp_path, ROOT, free_port(), free_port(), workers=1, deploy=DEPLOY)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Plan, State]]:
    """A stack that is up. The last test of this file ends it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")  # a person's own, which is not meant
        patch.setenv("PREFECT_SERVER_DATABASE_CONNECTION_URL", "sqlite+aiosqlite:////nowhere/of.db")
        patch.setenv("AWS_ACCESS_KEY_ID", "a-person's-own")
        plan = Plan(tmp_path_factory.mktemp("stack"), ROOT, free_port(), free_port(), workers=1, deploy=DEPLOY)
        try:
            yield plan, stack.up(plan, print)
        finally:
            stack.down(plan.folder, print)


def client_of(plan: Plan) -> SyncPrefectClient:
    return SyncPrefectClient(f"{plan.ui}/api")


def store_of(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> Store:
    """The stack's store, for this process."""
    settings = read_settings(plan.files)
    use(settings, monkeypatch)
    return Store(settings["CREDIT_STORE"])


def begin(plan: Plan, deployment: str, **parameters: object) -> FlowRun:
    with client_of(plan) as client:
        return client.create_flow_run_from_deployment(
            client.read_deployment_by_name(deployment).id, parameters=parameters
        )


def state_of(plan: Plan, run: FlowRun) -> Any:
    with client_of(plan) as client:
        state = client.read_flow_run(run.id).state
    assert state is not None
    return state


def processes(plan: Plan, part: str) -> list[psutil.Process]:
    return [member.process for member in members(plan.folder) if member.part == part]


def is_open(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0


def test_no_process_of_it_listens_on_anything_but_loopback(running: tuple[Plan, State]) -> None:
    plan, state = running
    (supervisor,) = processes(plan, SUPERVISOR)
    ours = {supervisor, *supervisor.children(recursive=True)}
    assert ours == {member.process for member in members(plan.folder)}  # and all of them are found
    listening = [c.laddr for each in ours for c in each.net_connections() if c.status == psutil.CONN_LISTEN]
    assert {address.ip for address in listening} == {HOST}
    assert {plan.port, plan.s3_port} <= {address.port for address in listening}
    assert stack.status(plan.folder)[0]
    assert state.store == "s3://credit/store"


def test_the_secret_is_in_one_file_that_only_its_user_reads(running: tuple[Plan, State]) -> None:
    plan, _ = running
    settings = read_settings(plan.files)
    secret = settings["AWS_SECRET_ACCESS_KEY"]
    assert len(secret) > 20 and settings["AWS_ACCESS_KEY_ID"] != "a-person's-own"
    for path in (plan.files.settings, plan.files.state):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    for path in (plan.files.state, *plan.files.logs.iterdir()):
        assert secret not in path.read_text(errors="replace"), path
    for member in members(plan.folder):
        assert not any(secret in argument for argument in member.process.cmdline())


def test_a_shell_can_use_its_settings(running: tuple[Plan, State]) -> None:
    plan, _ = running
    program = "import os; print(os.environ['CREDIT_STORE'], os.environ['PREFECT_API_URL'], os.environ['AWS_REGION'])"
    line = f"set -a; . '{plan.files.settings}'; set +a; exec {sys.executable} -c \"{program}\""
    said = subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=True).stdout
    assert said.split() == ["s3://credit/store", f"{plan.ui}/api", "us-east-1"]


def test_started_twice_it_says_that_it_runs_already(running: tuple[Plan, State]) -> None:
    plan, state = running
    said: list[str] = []
    assert stack.up(replace(plan, name="another"), said.append) == state
    assert said == ["the stack runs already"]


def test_a_worker_and_the_s3_server_come_back_when_they_are_killed_and_work_goes_on(
    running: tuple[Plan, State], monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, _ = running
    before = {each.pid for part in (WORKER, OBJECTS) for each in processes(plan, part)}
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    wait(
        lambda: len({p.pid for part in (WORKER, OBJECTS) for p in processes(plan, part)} - before) == 3, "their return"
    )
    run = begin(plan, "remember/test", key="a/b", text="hello")
    wait(lambda: state_of(plan, run).is_final(), "a run after that")
    assert state_of(plan, run).is_completed(), state_of(plan, run)
    assert store_of(plan, monkeypatch).read("a/b") == b"hello"
    log = (plan.files.logs / "stack.log").read_text()
    assert "credit-cpu-1: process" in log and "ended with code -9; it is started again" in log
    assert stack.status(plan.folder)[0]


def test_it_ends_with_its_runs_and_started_again_it_has_everything_and_ends_without_its_supervisor(
    running: tuple[Plan, State], monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, _ = running
    store = store_of(plan, monkeypatch)
    store.write("kept", b"this")
    holding = begin(plan, "hold/test", key="first", seconds=600)
    wait(lambda: store.exists("first-began"), "a run that takes long")
    with client_of(plan) as client:  # what a power failure leaves: a run that nobody works on, and believed to go on
        lost = client.create_flow_run_from_deployment(
            client.read_deployment_by_name("hold/test").id, parameters={"key": "lost", "seconds": 1}, state=Running()
        )
    said: list[str] = []
    assert stack.down(plan.folder, said.append)
    assert "flow runs under way: 1" in said[0]
    assert not members(plan.folder)
    assert not is_open(plan.port) and not is_open(plan.s3_port)
    assert not plan.files.settings.exists() and not plan.files.state.exists()
    assert not stack.down(plan.folder, said.append)

    stack.up(replace(plan, name="again"), print)
    assert state_of(plan, holding).is_crashed()
    assert "termination signal" in state_of(plan, holding).message  # it was told so itself
    assert state_of(plan, lost).is_crashed() and "cut off" in state_of(plan, lost).message
    store = store_of(plan, monkeypatch)
    assert store.read("kept") == b"this"
    assert store.read("first-ended") == b"TerminationSignal"
    second = begin(plan, "hold/test", key="second", seconds=600)
    wait(lambda: store.exists("second-began"), "a run that takes long")
    for part in (GUARD, SUPERVISOR):
        for process in processes(plan, part):
            process.kill()
    wait(lambda: not stack.status(plan.folder)[0], "its supervisor's end")
    assert is_open(plan.port) and is_open(plan.s3_port) and state_of(plan, second).is_running()
    assert stack.down(plan.folder, print)
    assert not members(plan.folder)
    assert not is_open(plan.port) and not is_open(plan.s3_port)


def test_what_does_not_come_up_is_named_and_nothing_is_left(plan: Plan) -> None:
    (plan.folder / "prefect").write_text("where the server's folder should be")
    with pytest.raises(StackError, match=r"Prefect server: process \d+ ended with code .*prefect-server.log"):
        stack.up(plan, print)
    assert not members(plan.folder)
    assert not is_open(plan.s3_port) and not plan.files.state.exists()


@pytest.mark.parametrize("taken", ["port", "s3_port"])
def test_a_port_that_is_taken_is_named_with_its_setting_before_anything_starts(plan: Plan, taken: str) -> None:
    with socket.socket() as other:
        other.bind((HOST, 0))
        other.listen()
        number = other.getsockname()[1]
        setting = {"port": "PREFECT_SERVER_API_PORT", "s3_port": "CREDIT_S3_PORT"}[taken]
        with pytest.raises(StackError, match=rf"port {number}.*set {setting} to a free port"):
            stack.up(replace(plan, **{taken: number}), print)
    assert not members(plan.folder) and not plan.files.logs.exists()


@pytest.fixture
def stranger() -> Iterator[subprocess.Popen[bytes]]:
    """A process that is none of the stack's."""
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    yield process
    process.kill()
    process.wait()


def test_a_stranger_with_the_number_of_a_dead_supervisor_is_left_alone(
    plan: Plan, stranger: subprocess.Popen[bytes]
) -> None:
    stale = State("gone", "up", machine(), stranger.pid, -1.0, plan.ui, f"http://{HOST}:{plan.s3_port}", plan.store, {})
    stack_files.write_state(plan.files, stale)
    assert not stack.status(plan.folder)[0]
    assert not stack.down(plan.folder, print)
    assert read_state(plan.files) is None
    assert stranger.poll() is None


def test_a_state_file_from_before_the_machine_was_started_again_says_nothing(
    plan: Plan, stranger: subprocess.Popen[bytes]
) -> None:
    start = psutil.Process(stranger.pid).create_time()
    stale = State("gone", "up", "another boot", stranger.pid, start, plan.ui, "http://x:1", plan.store, {})
    assert not stale.alive()


SLEEPER = """
import signal, sys, time
def end(number, frame):
    open(sys.argv[1], "a").write(sys.argv[2] + "\\n")
    sys.exit()
signal.signal(signal.SIGTERM, signal.SIG_IGN if sys.argv[2] == "stubborn" else end)
print("ready", flush=True)
time.sleep(600)
"""


def sleepers(folder: Path, parts: list[str]) -> list[subprocess.Popen[str]]:
    """Marked processes that write down in which order they were told to end."""
    found = []
    for part in parts:
        found.append(
            subprocess.Popen(
                [sys.executable, "-c", SLEEPER, str(folder / "order"), part],
                env={**os.environ, **mark(part, "sleeping", folder)},
                stdout=subprocess.PIPE,
                text=True,
            )
        )
    for process in found:
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
    return found


def test_what_a_killed_supervisor_leaves_is_ended_by_its_guard_workers_first_and_the_store_last(tmp_path: Path) -> None:
    ours = sleepers(tmp_path, [OBJECTS, SERVER, WORKER])
    guard = subprocess.Popen(
        [sys.executable, "-m", "infra.stack.guard", str(tmp_path), "sleeping"],
        stdin=subprocess.PIPE,
        env={**os.environ, **mark(GUARD, "sleeping", tmp_path)},
        cwd=ROOT,
    )
    assert guard.stdin is not None
    guard.stdin.close()  # as the system does when the supervisor is killed
    for process in ours:
        process.wait(timeout=30)
    assert guard.wait(timeout=30) == 0
    assert (tmp_path / "order").read_text().split() == [WORKER, SERVER, OBJECTS]


def test_a_process_that_will_not_end_is_killed_and_another_stacks_are_left_alone(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    one.mkdir()
    other.mkdir()
    (neighbour,) = sleepers(other, [WORKER])
    stubborn = subprocess.Popen(
        [sys.executable, "-c", SLEEPER, str(one / "order"), "stubborn"],
        env={**os.environ, **mark("deploy", "sleeping", one)},
        stdout=subprocess.PIPE,
    )
    assert stubborn.stdout is not None and stubborn.stdout.readline() == b"ready\n"
    said: list[str] = []
    assert end_members(one, said.append) == []
    assert stubborn.wait(timeout=5) == -signal.SIGKILL
    assert any("killed" in line for line in said)
    assert neighbour.poll() is None
    assert end_members(other, said.append) == []
    assert neighbour.wait(timeout=5) == 0


def test_settings_that_are_not_there_say_how_to_get_them(tmp_path: Path) -> None:
    with pytest.raises(StackError, match="make stack"):
        read_settings(Files(tmp_path))
