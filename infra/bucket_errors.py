"""What an S3 client's error means for the person who set up the store: which setting, and what to do.

botocore raises errors of its own where nothing answers or no credentials are found, and s3fs turns what a server answers
into Python's (with the server's code in the cause). Codes: the S3 API reference, "Error responses".
"""

from __future__ import annotations

import os

from botocore import exceptions as aws

from infra.store_types import StoreError, StoreRefused, StoreUnavailable

_KEY_WRONG = {"InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken", "InvalidSecurity", "AuthFailure"}
_KEY_EXPIRED = {"ExpiredToken", "TokenRefreshRequired", "ExpiredTokenException"}
_NO_RIGHT = {"AccessDenied", "403", "AllAccessDisabled", "AccountProblem"}
_ELSEWHERE = {"PermanentRedirect", "301", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException", "307"}
_NOT_NOW = {"InternalError", "ServiceUnavailable", "SlowDown", "RequestTimeout", "500", "502", "503", "504"}
_CLOCK = {"RequestTimeTooSkewed"}
_NO_BUCKET = {"NoSuchBucket", "InvalidBucketName"}
_CANNOT = {"NotImplemented", "501"}
_NONE_FOUND = (
    aws.NoCredentialsError,
    aws.PartialCredentialsError,
    aws.CredentialRetrievalError,
    aws.TokenRetrievalError,
)
_CHAIN = "the standard AWS chain: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, or the machine's role"


def codes(error: BaseException) -> set[str]:
    """The server's codes in an error and in what caused it; empty if it was no server's answer."""
    found: set[str] = set()
    seen: list[BaseException] = []
    current: BaseException | None = error
    while current is not None and current not in seen:
        seen.append(current)
        if isinstance(current, aws.ClientError):
            found.add(str(current.response.get("Error", {}).get("Code", "")))
        current = current.__cause__ or current.__context__
    return found


def explained(error: Exception, where: str) -> StoreError | None:
    """The error to raise instead, or None if it says what is meant already, such as that an object is not there.

    Args:
        where: the store's URL.
    """
    bucket, server = where.partition("://")[2].split("/")[0], _server()
    given = codes(error)
    if isinstance(error, _NONE_FOUND):
        return StoreRefused(f"no credentials for the store {where} ({error}); they come from {_CHAIN}")
    if isinstance(error, (aws.ProfileNotFound, aws.ConfigNotFound)):
        return StoreRefused(f"no credentials for the store {where}: {error}; see AWS_PROFILE, and {_CHAIN}")
    if given & _KEY_WRONG:
        return StoreRefused(
            f"{server} does not accept the credentials for the store {where} ({error}). They come from {_CHAIN}"
        )
    if given & _KEY_EXPIRED:
        return StoreRefused(f"the credentials for the store {where} have expired ({error}); renew them: {_CHAIN}")
    if given & _CLOCK:
        return StoreRefused(f"{server} finds this machine's clock wrong ({error}); set it")
    if given & _NO_BUCKET or isinstance(error, aws.ParamValidationError):
        return StoreRefused(
            f"there is no bucket '{bucket}' at {server} ({error}); create it, or set CREDIT_STORE to one that is there, "
            "or AWS_ENDPOINT_URL_S3 to the server that has it"
        )
    if given & _ELSEWHERE:
        return StoreRefused(f"the bucket '{bucket}' is in another region ({error}); set AWS_REGION")
    if given & _NO_RIGHT or isinstance(error, PermissionError):
        return StoreRefused(
            f"the credentials are wrong, or do not give the rights needed on the store {where} ({error}); "
            "docs/storage.md has the policy. Somebody else's bucket, and one that does not exist, may look the same"
        )
    if given & _CANNOT:
        return StoreRefused(f"{server} lacks what the store {where} needs ({error}); use AWS S3, MinIO or SeaweedFS")
    if isinstance(error, aws.SSLError):
        return StoreRefused(f"{server} has no certificate that this machine trusts ({error}); see AWS_CA_BUNDLE")
    if given & _NOT_NOW or isinstance(error, (aws.ConnectionError, aws.HTTPClientError, TimeoutError, *broken_off())):
        return StoreUnavailable(
            f"{server}, which holds the store {where}, does not answer as it should ({type(error).__name__}: {error}); is "
            "it running, and is AWS_ENDPOINT_URL_S3 right?"
        )
    if isinstance(error, ValueError) and "endpoint" in str(error):
        return StoreRefused(f"{error}; AWS_ENDPOINT_URL_S3 must be an address such as http://127.0.0.1:8333")
    if isinstance(error, aws.BotoCoreError):
        return StoreRefused(f"cannot use the store {where}: {error}")
    return None


def broken_off() -> tuple[type[Exception], ...]:
    """What s3fs lets through when a connection breaks off in the middle. Only those ask who have it in use already: to
    import it takes half a second, and a folder needs none of it."""
    import aiohttp

    return (aiohttp.ClientError,)


def _server() -> str:
    """The S3 server, as the environment names it; a profile may name another."""
    named = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    return f"the S3 server {named}" if named else "AWS S3 (or the endpoint_url of the AWS profile)"
