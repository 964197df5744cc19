"""A Prefect server of our own, where none answers: SQLite, its state in this project's folder, on loopback only.

Told to listen elsewhere (PREFECT_SERVER_API_HOST), it must ask for a password: whoever reaches a Prefect server without one
can start flows with parameters of their own.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import ipaddress
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from infra.addresses import holds_secret
from infra.settings import STATE_FOLDER

HOST = "127.0.0.1"
LOOPBACK = {HOST, "localhost", "::1"}
AUTH = "PREFECT_SERVER_API_AUTH_STRING"
START_SECONDS = 120
# Times that a flow's client asks a Prefect server again, ever more slowly: for 13 minutes at least. Prefect's own default is
# a minute; after that a flow that had done its work would end as Failed.
CLIENT_RETRIES = "9"


class ServerError(RuntimeError):
    """The Prefect server could not be reached or started."""


def listens_on() -> str:
    """The address that our own server listens on: loopback, unless `PREFECT_SERVER_API_HOST` says another.

    Raises:
        ServerError: if that is not loopback, and there is no password that the server would ask for.
    """
    given = os.environ.get("PREFECT_SERVER_API_HOST", "").strip()
    if not given or given in LOOPBACK or _is_loopback(given):
        return given or HOST
    user, _, password = os.environ.get(AUTH, "").partition(":")
    if not user or not password:
        raise ServerError(
            f"PREFECT_SERVER_API_HOST is {given!r}, where other machines reach the server, and it would ask no password: "
            f"set {AUTH} to user:password (and PREFECT_API_AUTH_STRING to the same for whoever uses it), or leave "
            "PREFECT_SERVER_API_HOST out. Put a proxy with TLS before it: the password travels in clear"
        )
    return given


def _is_loopback(given: str) -> bool:
    try:
        return ipaddress.ip_address(given).is_loopback
    except ValueError:
        return False


def _reached_at() -> str:
    """The host under which this machine reaches its own server."""
    host = listens_on()
    if host in ("0.0.0.0", "::"):
        return HOST
    return f"[{host}]" if ":" in host else host


def port() -> int:
    """The port of the local server: `PREFECT_SERVER_API_PORT`, or Prefect's own default."""
    given = os.environ.get("PREFECT_SERVER_API_PORT", "4200")
    if not (given.isascii() and given.isdigit() and 0 < int(given) < 2**16):
        raise ServerError(f"PREFECT_SERVER_API_PORT is {given!r}; set it to a free port, such as 4200")
    return int(given)


def api_url() -> str:
    """The API to use: `PREFECT_API_URL` if set, else the local server's."""
    return os.environ.get("PREFECT_API_URL") or f"http://{_reached_at()}:{port()}/api"


def ui_url() -> str:
    """The address for people, of the same server."""
    return api_url().removesuffix("/api")


def answers(url: str) -> bool:
    """Whether a Prefect API answers at `url`; not whatever else is there: web front ends in development are often served
    at Prefect's port, and give a page for every path.

    Raises:
        ServerError: if `url` is not an address.
    """
    if holds_secret(url):
        raise ServerError(
            "PREFECT_API_URL holds a password, which logs would repeat: set it without, and PREFECT_API_AUTH_STRING to "
            "user:password"
        )
    if not url.startswith(("http://", "https://")):
        raise ServerError(f"PREFECT_API_URL is {url!r}; it must be an address such as http://{HOST}:4200/api")
    try:
        with _opener(url).open(f"{url.rstrip('/')}/health", timeout=5) as response:
            return bool(response.status == 200 and response.headers.get_content_type() == "application/json")
    except urllib.error.HTTPError as error:
        return error.code in (401, 403)  # it is there; the flow has the key that this look has not
    except (http.client.HTTPException, OSError, ValueError):
        return False


def refusal(status: int, what: str) -> str:
    """What to tell a person whom the Prefect API refused with this status; `what` it said."""
    if status in (401, 403):
        return (
            f"the Prefect API at {api_url()} wants to know who asks ({what}): set PREFECT_API_AUTH_STRING to user:password, "
            f"as its server has it in {AUTH}"
        )
    return f"the Prefect API at {api_url()} refused: {what}"


def check_welcome() -> None:
    """Find out before anything is loaded whether the API takes us in, which `answers` does not ask.

    Raises:
        ServerError: if it wants another password, or key, than the environment has; says what to set.
    """
    known = environment()
    password, key = known.get("PREFECT_API_AUTH_STRING"), known.get("PREFECT_API_KEY")
    if not (password or key) or known.get("PREFECT_CLIENT_CUSTOM_HEADERS"):
        return  # Prefect has more places for settings than the environment; `flows.command` says what it then is told
    request = urllib.request.Request(f"{api_url().rstrip('/')}/admin/version")
    if password:
        request.add_header("Authorization", f"Basic {base64.b64encode(password.encode()).decode()}")
    elif key:
        request.add_header("Authorization", f"Bearer {key}")
    try:
        with _opener(api_url()).open(request, timeout=10):
            return
    except urllib.error.HTTPError as error:
        if error.code in (401, 403):
            what = (
                "another password than PREFECT_API_AUTH_STRING has"
                if password
                else "another key than PREFECT_API_KEY has"
            )
            raise ServerError(refusal(error.code, f"it takes {what}")) from None
    except (http.client.HTTPException, OSError, ValueError):
        return  # it answered a moment ago; the flow's own client is patient, and says so


def environment() -> dict[str, str]:
    """Environment of our server and of the flows that talk to it. Prefect keeps its files below our state folder, so a
    person's own Prefect profile is neither used nor changed; a profile of theirs is used if PREFECT_HOME is set."""
    home = os.environ.get("PREFECT_HOME") or str((STATE_FOLDER / "prefect").absolute())
    ours = not os.environ.get("PREFECT_API_URL")
    password = os.environ.get(AUTH, "")
    known = {"PREFECT_API_AUTH_STRING": password} if ours and password else {}  # another server must not be told it
    return {
        **known,
        **os.environ,
        "PREFECT_HOME": home,
        "PREFECT_API_URL": api_url(),
        "PREFECT_SERVER_API_HOST": listens_on() if ours else HOST,
        # The UI asks its own server; with the --port flag alone it would look for port 4200.
        "PREFECT_SERVER_API_PORT": str(port()),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        # The flow's own client would send even loopback through a proxy.
        **{
            name: ",".join(filter(None, (os.environ.get(name), HOST, "localhost"))) for name in ("NO_PROXY", "no_proxy")
        },
    }


def environment_of_flows() -> dict[str, str]:
    """Environment of a process that runs a flow: its work outlasts a server that is away for ten minutes. Not of those who
    only ask: they say at once that nobody answers. The job templates in infra/templates say the same to workers' flows."""
    return {"PREFECT_CLIENT_MAX_RETRIES": CLIENT_RETRIES, **environment()}


def _opener(url: str) -> urllib.request.OpenerDirector:
    # No proxy can reach this machine's own loopback.
    proxies: dict[str, str] | None = {} if urllib.parse.urlsplit(url).hostname in LOOPBACK else None
    return urllib.request.build_opener(urllib.request.ProxyHandler(proxies))


def end_on_terminate() -> None:
    """Make SIGTERM and a closed terminal end this process as Ctrl-C does: through its `finally` blocks, so that what it
    started ends with it."""

    def end(number: int, frame: object) -> None:
        raise SystemExit(128 + number)

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGHUP, end)


@contextlib.contextmanager
def running_server(log: Path | None = None) -> Iterator[bool]:
    """A Prefect API that answers, for the length of the block; started and stopped here if none does.

    Yields:
        Whether the server was started here.

    Raises:
        ServerError: if `PREFECT_API_URL` is set and does not answer, or our own server does not come up.
    """
    if answers(api_url()):
        yield False
        return
    if os.environ.get("PREFECT_API_URL"):
        raise ServerError(f"PREFECT_API_URL is {api_url()}, and no Prefect API answers there; start it or unset it")
    log = log or STATE_FOLDER / "prefect-server.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "prefect", "server", "start"]
    server_environment = {k: v for k, v in environment().items() if k != "PREFECT_API_URL"}
    with open(log, "ab") as output:
        # A session of its own: Ctrl-C must reach the flow, which then still has a server to tell.
        process = subprocess.Popen(
            command, env=server_environment, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        deadline = time.monotonic() + START_SECONDS
        while not answers(api_url()):
            if process.poll() is not None:
                raise ServerError(
                    f"the Prefect server ended with code {process.returncode} while starting; see {log}. If port "
                    f"{port()} is taken, set PREFECT_SERVER_API_PORT."
                )
            if time.monotonic() > deadline:
                raise ServerError(f"the Prefect server did not answer within {START_SECONDS} s; see {log}")
            time.sleep(0.3)
        if process.poll() is not None:
            raise ServerError(f"another server took port {port()} at this very moment; try again")
        yield True
    finally:
        process.terminate()
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
