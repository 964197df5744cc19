"""Least privilege, tried on a real S3 server: what each role's policy lets it do, and that it can do nothing else.

What the server of the tests enforces is what is tried here: actions, resources with wildcards, and the condition s3:prefix.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from botocore.session import Session

from infra.names import key_part
from infra.policies import ROLES, PolicyError, policy
from infra.s3_server import S3Server
from infra.store import Store, StoreRefused
from infra.upload import hand_in, prepare
from infra.uploads import find_uploads
from tasks.statements.read import all_statements, latest_statement
from tests.conftest import forget_connections, use
from tests.security.kinds import KINDS
from tests.statements.published import publish, statement

BUCKET, PREFIX, PERSON, OTHER = "credit", "team/store", "Emily Jäger", "Bob"
STORE = f"s3://{BUCKET}/{PREFIX}"
OF = {"collection": "spring", "contributor": PERSON}
D = "d" * 64
MINE, THEIRS = (f"uploads/spring/{key_part(name)}/{D}" for name in (PERSON, OTHER))

# Of each kind of key in docs/storage.md one key, and which roles may read, write and delete it.
WPK, PK = {"worker", "publisher", "keeper"}, {"publisher", "keeper"}
NOBODY: set[str] = set()
RIGHTS: dict[str, tuple[str, set[str], set[str], set[str]]] = {
    "store.json": ("store.json", PK, PK, NOBODY),
    "ledger/models/<d>.json": (f"ledger/models/{D}.json", WPK, {"worker"}, NOBODY),
    "ledger/samples/<d>.json": (f"ledger/samples/{D}.json", WPK, {"worker"}, NOBODY),
    "ledger/scores/<d>.json": (f"ledger/scores/{D}.json", WPK, {"worker"}, NOBODY),
    "ledger/statistics/<d>.json": (f"ledger/statistics/{D}.json", WPK, {"worker"}, NOBODY),
    "ledger/latents/<d>.json": (f"ledger/latents/{D}.json", WPK, {"worker"}, NOBODY),
    "packs/<kind>/<sha256>.json": (f"packs/scores/{D}.json", WPK, {"publisher"}, {"publisher"}),
    "epochs/<study>/<n>.json": ("epochs/art/00000001.json", WPK, {"publisher"}, NOBODY),
    "data/<sha256>.safetensors": (f"data/{D}.safetensors", WPK, {"publisher"}, PK),
    "latents/<sha256>.safetensors": (f"latents/{D}.safetensors", WPK, {"worker"}, {"worker", "keeper"}),
    "base/<sha256>/…": (f"base/{D}/config.json", WPK, {"worker"}, {"worker", "keeper"}),
    "reference/<sha256>/…": (f"reference/{D}/unet/config.json", WPK, {"worker"}, {"keeper"}),
    "pruned/<sha256>.safetensors": (f"pruned/{D}.safetensors", WPK, {"worker"}, {"keeper"}),
    "pruned/<sha256>.json": (f"pruned/{D}.json", WPK, {"worker"}, {"keeper"}),
    "statistics/<sha256>.safetensors": (f"statistics/{D}.safetensors", WPK, {"worker"}, {"keeper"}),
    "models/<sha256>.safetensors": (f"models/{D}.safetensors", WPK, {"worker"}, {"worker", "keeper"}),
    "samples/<sha256>.safetensors": (f"samples/{D}.safetensors", WPK, {"worker"}, {"worker", "keeper"}),
    "shards/…": (f"shards/{D}.json", WPK, {"publisher"}, NOBODY),
    "leases/<study>/<number>.json": ("leases/art/00000001.json", PK, PK, PK),
    "studies/<study>/<run>/…": ("studies/art/one/manifest.json", PK | {"reader"}, {"publisher"}, {"publisher"}),
    "studies/<study>/latest.json": ("studies/art/latest.json", PK | {"reader"}, {"publisher"}, {"publisher"}),
    "studies/<study>/history.html": ("studies/art/history.html", PK | {"reader"}, {"publisher"}, {"publisher"}),
    "validations/<study>/<run>/…": ("validations/art/one/page.md", PK | {"reader"}, {"publisher"}, NOBODY),
    "validations/<study>/latest.json": ("validations/art/latest.json", PK | {"reader"}, {"publisher"}, NOBODY),
    "uploads/<collection>/<contributor>/<upload>/…": (
        f"{MINE}/files/{D}", PK | {"uploader"}, {"uploader"}, {"keeper", "uploader"},
    ),
    "opt-outs/<contributor>/<number>.json": (
        f"opt-outs/{key_part(PERSON)}/00000001.json", PK | {"uploader"}, {"keeper"}, NOBODY,
    ),
    "opt-outs/<contributor>/<number>.log.json": (
        f"opt-outs/{key_part(PERSON)}/00000001.log.json", PK | {"uploader"}, {"keeper"}, NOBODY,
    ),
}  # fmt: skip
# Beside them: what only one role writes of a kind, and what lies outside.
MORE: dict[str, tuple[str, set[str], set[str], set[str]]] = {
    "a report of a shard": ("shards/reports/x.json", WPK, {"worker", "publisher"}, NOBODY),
    "a checkpoint": (f"reference/{D}/checkpoint.safetensors", WPK, {"worker"}, {"worker", "keeper"}),
    "another checkpoint": (f"pruned/{D}/checkpoint.safetensors", WPK, {"worker"}, {"worker", "keeper"}),
    "the manifest of an upload": (f"{MINE}/complete.json", PK | {"uploader"}, {"uploader"}, {"keeper"}),
    "somebody else's upload": (f"{THEIRS}/files/{D}", PK, NOBODY, {"keeper"}),
    "an upload to another collection": (f"uploads/autumn/{key_part(PERSON)}/{D}/x", PK, NOBODY, {"keeper"}),
    "a longer name": (f"uploads/spring/{key_part(PERSON)}0/{D}/x", PK, NOBODY, {"keeper"}),
    "somebody else's opt-out": (f"opt-outs/{key_part(OTHER)}/00000001.json", PK, {"keeper"}, NOBODY),
    "no kind of ours": ("something/else", NOBODY, NOBODY, NOBODY),
    "another store of the bucket": (f"../store2/ledger/models/{D}.json", NOBODY, NOBODY, NOBODY),
    "the bucket's top": ("../../top.json", NOBODY, NOBODY, NOBODY),
}
EVERY = {**RIGHTS, **MORE}


def full(key: str) -> str:
    """Its key in the bucket."""
    if key.startswith("../../"):
        return key.removeprefix("../../")
    return f"team/{key.removeprefix('../')}" if key.startswith("../") else f"{PREFIX}/{key}"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """One with all roles, and an object under every key of `EVERY`."""
    policies = {role: policy([role], STORE, **(OF if role == "uploader" else {})) for role in ROLES}
    with S3Server(tmp_path_factory.mktemp("roles") / "data", policies=policies) as server:
        for key, *_ in EVERY.values():
            client(server.environment()).put_object(Bucket=BUCKET, Key=full(key), Body=b"there")
        yield server


def client(environment: Mapping[str, str]) -> Any:
    return Session().create_client(
        "s3",
        endpoint_url=environment["AWS_ENDPOINT_URL_S3"],
        aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
        region_name="us-east-1",
        config=Config(retries={"total_max_attempts": 1}, proxies={}),
    )


def allowed(ask: Any, **arguments: Any) -> bool:
    """Whether the server does it; any refusal but that of a right is an error of the test."""
    try:
        ask(Bucket=BUCKET, **arguments)
    except ClientError as error:
        assert error.response["Error"]["Code"] in ("AccessDenied", "403"), error
        return False
    return True


def test_every_kind_of_key_has_its_rights() -> None:
    assert set(RIGHTS) == set(KINDS), "say who may do what with it, in infra/policies and here"


@pytest.mark.s3
@pytest.mark.servers
@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("kind", sorted(EVERY))
def test_a_role_can_do_what_it_needs_with_a_key_and_nothing_else(kind: str, role: str, server: S3Server) -> None:
    key, readers, writers, deleters = EVERY[kind]
    there, place = client(server.environment(role)), full(key)
    owner = client(server.environment())
    found = {
        "read": allowed(there.get_object, Key=place),
        "look": allowed(there.head_object, Key=place),
        "write": allowed(there.put_object, Key=place, Body=b"there"),
        "create": allowed(there.put_object, Key=f"{place}.new", Body=b"there"),
        "begin parts": allowed(there.create_multipart_upload, Key=place),
        "delete": allowed(there.delete_object, Key=place),
    }
    if found["delete"]:
        owner.put_object(Bucket=BUCKET, Key=place, Body=b"there")
    exact = key.endswith(("checkpoint.safetensors", "store.json"))  # named to the letter: another key is another kind
    if exact or kind == "the manifest of an upload":
        del found["create"]
    may_write = role in writers
    expected = {
        "read": role in readers, "look": role in readers, "write": may_write, "create": may_write,
        "begin parts": may_write, "delete": role in deleters,
    }  # fmt: skip
    assert found == {name: expected[name] for name in found}


# Whoever asks for what may be absent must list: AWS tells "not there" from "not yours" to nobody else.
LISTS = {
    "reader": ("studies/art", "validations/art"),
    "uploader": (MINE, f"opt-outs/{key_part(PERSON)}"),
}
LISTS_NOT = {
    "reader": ("ledger/models", "uploads/spring", "opt-outs", "leases", "stud"),
    "uploader": (THEIRS, "uploads/spring", "uploads", "ledger/models", "studies/art", f"opt-outs/{key_part(OTHER)}"),
}


@pytest.mark.s3
@pytest.mark.parametrize("role", sorted(LISTS))
def test_readers_and_uploaders_list_what_is_theirs_and_nothing_else(role: str, server: S3Server) -> None:
    there = client(server.environment(role))
    for folder in LISTS[role]:
        answer = there.list_objects_v2(Bucket=BUCKET, Prefix=f"{PREFIX}/{folder}/")
        assert answer["KeyCount"] > 0, folder
    for folder in (*LISTS_NOT[role], "../store2/ledger"):
        assert not allowed(there.list_objects_v2, Prefix=f"{full(folder)}/"), folder
        assert not allowed(there.list_objects_v2, Prefix=full(folder)), folder
        assert not allowed(there.list_objects, Prefix=full(folder)), folder
    assert not allowed(there.list_objects_v2)
    assert not allowed(there.list_multipart_uploads)
    assert not allowed(there.list_object_versions)


@pytest.mark.s3
@pytest.mark.parametrize("role", ROLES)
def test_no_role_changes_the_bucket_its_rules_or_who_may_what(role: str, server: S3Server) -> None:
    there = client(server.environment(role))
    everybody = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": "*", "Action": "s3:*", "Resource": f"arn:aws:s3:::{BUCKET}/*"}],
    }
    assert not allowed(there.put_bucket_policy, Policy=json.dumps(everybody))
    assert not allowed(there.get_bucket_policy)
    assert not allowed(there.put_bucket_acl, ACL="public-read-write")
    assert not allowed(there.put_object_acl, Key=full("studies/art/latest.json"), ACL="public-read")
    assert not allowed(there.delete_bucket)
    assert not allowed(there.put_bucket_versioning, VersioningConfiguration={"Status": "Suspended"})
    with pytest.raises(ClientError, match="AccessDenied"):
        there.create_bucket(Bucket="another")
    copied = {"Bucket": BUCKET, "Key": full("something/else")}
    assert not allowed(there.copy_object, Key=full("studies/art/copy.json"), CopySource=copied)
    doomed = {"Objects": [{"Key": full("ledger/models/" + D + ".json")}, {"Key": full("something/else")}]}
    try:
        answer = there.delete_objects(Bucket=BUCKET, Delete=doomed)
        assert not answer.get("Deleted") and len(answer["Errors"]) == 2
    except ClientError as error:
        assert error.response["Error"]["Code"] == "AccessDenied"
    assert client(server.environment()).get_object(Bucket=BUCKET, Key=full(f"ledger/models/{D}.json"))


@pytest.fixture
def acting(server: S3Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str | None], Store]]:
    """Act as a role: gives the store as our own code opens it."""

    def act(role: str | None) -> Store:
        use(server.environment(role), monkeypatch)
        return Store(STORE)

    yield act
    forget_connections()


@pytest.mark.s3
def test_an_uploader_hands_in_with_our_command_and_nobody_elses_code_trusts_more(
    acting: Callable[[str | None], Store], server: S3Server, tmp_path: Path
) -> None:
    for kind in ("<number>.json", "<number>.log.json"):  # they have not opted out
        key = RIGHTS[f"opt-outs/<contributor>/{kind}"][0]
        client(server.environment()).delete_object(Bucket=BUCKET, Key=full(key))
    (tmp_path / "art").mkdir()
    (tmp_path / "art/cat.png").write_bytes(b"cat")
    store = acting("uploader")
    upload, paths = prepare(tmp_path / "art", PERSON, "spring")
    said: list[str] = []
    assert hand_in(upload, paths, store, said.append) and not hand_in(upload, paths, store, said.append)
    assert not [line for line in said if "not known" in line]  # an empty folder of opt-outs can be looked into
    other, paths = prepare(tmp_path / "art", OTHER, "spring")
    with pytest.raises(StoreRefused):
        hand_in(other, paths, store)
    with pytest.raises(StoreRefused):
        store.check()
    assert upload in find_uploads(acting("publisher"), "spring").complete
    for key in (upload.key(upload.files[0]), f"{upload.folder}/complete.json"):
        with pytest.raises(StoreRefused):  # a worker does not even read what was handed in
            acting("worker").read(key)


@pytest.mark.s3
def test_a_reader_reads_statements_with_our_code_and_writes_none(acting: Callable[[str | None], Store]) -> None:
    folder = publish(statement(("a", "1"), ("b", "2"), run="20261123T160000Z-0123abcd"), acting("publisher"), "read")
    store = acting("reader")
    found = latest_statement(store, "read")
    assert found is not None and found.where == folder
    assert [each.where for each in all_statements(store, "read")] == [folder]
    with pytest.raises(StoreRefused):
        publish(statement(("a", "1"), ("b", "2"), run="20261123T160001Z-0123abcd"), store, "read")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nobody", "--store", STORE], "no role 'nobody'"),
        (["worker", "--store", "/data/credit"], "is not s3://bucket"),
        (["worker", "--store", "s3://bucket/a*"], "prefix may have"),
        (["worker", "--store", "s3://bucket/a?/b"], "prefix may have"),
        (["worker", "--store", "s3://bucket/${aws:username}"], "prefix may have"),
        (["worker", "--store", "s3://bucket/../x"], "prefix may have"),
        (["worker", "--store", "s3://*"], "is not s3://bucket"),
        (["uploader", "--store", STORE], "--collection ''"),
        (["uploader", "--store", STORE, "--collection", "*", "--contributor", "A"], "--collection '*'"),
        (["uploader", "--store", STORE, "--collection", "spring"], "--contributor ''"),
        (["uploader", "--store", STORE, "--collection", "spring", "--contributor", "../x"], "looks like a path"),
    ],
)
def test_the_command_refuses_what_would_make_a_wider_policy(arguments: list[str], said: str) -> None:
    done = subprocess.run([sys.executable, "-m", "infra.policies", *arguments], capture_output=True, text=True)
    assert done.returncode == 2 and said in done.stderr and not done.stdout


def test_the_command_prints_one_document_for_several_roles() -> None:
    command = [sys.executable, "-m", "infra.policies", "worker", "publisher", "--store", "s3://bucket"]
    found = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert found == policy(["worker", "publisher"], "s3://bucket")
    sids = [each["Sid"] for each in found["Statement"]]
    assert len(sids) == len(set(sids)) and all(sid.isalnum() for sid in sids)
    resources = {r for each in found["Statement"] for r in each["Resource"]}
    assert all(r.startswith("arn:aws:s3:::bucket") and "{" not in r for r in resources)
    assert "arn:aws:s3:::bucket/*" not in resources


def test_a_policy_is_small_enough_for_aws() -> None:
    """6,144 characters without white space, with names that are as long as they can be."""
    longest = "s3://" + "b" * 63 + "/" + "p" * 40
    for role in ROLES:
        made = policy(
            [role], longest, **({"collection": "c" * 63, "contributor": "x" * 200} if role == "uploader" else {})
        )
        assert len(json.dumps(made, separators=(",", ":"))) < 6144, role


def test_a_prefix_cannot_reach_beyond_its_own_store() -> None:
    with pytest.raises(PolicyError):
        policy(["worker"], "s3://bucket/a{b}")
    made = json.dumps(policy(["reader"], "s3://bucket/a"))
    assert "bucket/a/studies/*" in made and "bucket/astudies" not in made
