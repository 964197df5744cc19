"""No address that holds a secret is accepted, or repeated; ordinary ones are."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from infra.addresses import holds_secret
from infra.server import ServerError, answers
from tasks.study import DataSpec

SECRET = "hunter2hunter2"


@pytest.mark.parametrize(
    "url",
    [
        f"https://user:{SECRET}@example.com/data",
        f"s3://AKIA:{SECRET}@bucket/images",
        f"https://{SECRET}@example.com",
        f"https://example.com/data?X-Amz-Credential=a&X-Amz-Signature={SECRET}",
        f"https://account.blob.core.windows.net/data?sv=1&sig={SECRET}",
        f"simplecache::https://user:{SECRET}@example.com/data",
    ],
)
def test_a_studys_address_with_a_secret_is_refused_and_what_is_wrong_is_said_without_it(url: str) -> None:
    with pytest.raises(ValidationError) as refused:
        DataSpec(url=url)
    message = refused.value.errors(include_input=False)[0]["msg"]
    assert SECRET not in message and "credentials in the environment" in message


@pytest.mark.parametrize(
    "url",
    [
        "data/openmoji", "s3://bucket/images", "uploads:spring", "hf://datasets/somebody/images@main/train",
        "github://owner:name@main/images", "https://example.com/@somebody/data", "memory://a", "C:/images@home",
        "https://example.com/data?page=2#sig=1",
    ],
)  # fmt: skip
def test_ordinary_addresses_are_taken(url: str) -> None:
    assert DataSpec(url=url).url == url and not holds_secret(url)


def test_an_api_address_with_a_password_is_refused_without_repeating_it() -> None:
    with pytest.raises(ServerError, match="PREFECT_API_AUTH_STRING") as refused:
        answers(f"http://u:{SECRET}@127.0.0.1:1/api")
    assert SECRET not in str(refused.value)
