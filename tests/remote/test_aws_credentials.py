"""AWS's usual chain, against endpoints that check each request strictly."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import pytest_twisted

from bleepstore.remote.aws_credentials import AwsChain, aws_authorizer
from bleepstore.remote.aws_profiles import parse_profiles
from bleepstore.remote.aws_signing import AwsCredentials
from bleepstore.remote.aws_sts import sts_endpoint
from bleepstore.remote.failures import CredentialsUnavailable, ProviderError, Refusal
from bleepstore.remote.refreshing import Lease
from bleepstore.remote.requests import Origin, RemoteRequest
from tests.fakes.aws_tokens import AwsTokens
from tests.remote.machine import NOW, Machine, machine

ROLE = "arn:aws:iam::1:role/app"
ISSUED = AwsCredentials("ASIA0000000000000001", "secret-1", "token-1")


@asynccontextmanager
async def world() -> AsyncIterator[tuple[Machine, AwsTokens]]:
    async with machine() as made:
        aws = AwsTokens("eu-central-1", made.now)
        await made.network.serve(
            aws.app,
            "https://sts.eu-central-1.amazonaws.com",
            "http://169.254.169.254",
            "http://169.254.170.2",
            "http://169.254.170.23",
            "http://127.0.0.1:51679",
            "https://credentials.example",
            "http://credentials.example",
        )
        yield made, aws


async def find(made: Machine, *keys: str) -> Lease[AwsCredentials]:
    return await AwsChain(made.near, "eu-central-1", *keys).find()


@pytest_twisted.ensureDeferred
async def test_the_settings_come_first() -> None:
    async with world() as (made, _):
        made.environ |= {"AWS_ACCESS_KEY_ID": "ENV", "AWS_SECRET_ACCESS_KEY": "s"}
        lease = await find(made, "KEY", "secret")
        assert (lease.value, lease.expires) == (AwsCredentials("KEY", "secret"), None)
        with pytest.raises(CredentialsUnavailable, match="only one"):
            await find(made, "KEY", "")
        assert made.network.connected == []


@pytest_twisted.ensureDeferred
async def test_then_the_environment() -> None:
    async with world() as (made, _):
        made.environ |= {"AWS_ACCESS_KEY_ID": "ENV", "AWS_SECRET_ACCESS_KEY": "s"}
        made.files["/home/me/.aws/credentials"] = "[default]\naws_access_key_id=F\n"
        assert (await find(made)).value == AwsCredentials("ENV", "s")
        made.environ["AWS_SESSION_TOKEN"] = "t"
        assert (await find(made)).value == AwsCredentials("ENV", "s", "t")
        del made.environ["AWS_SECRET_ACCESS_KEY"]
        with pytest.raises(CredentialsUnavailable, match="only one"):
            await find(made)


@pytest_twisted.ensureDeferred
async def test_then_the_shared_files() -> None:
    async with world() as (made, _):
        made.files["/home/me/.aws/credentials"] = (
            "[default]\naws_access_key_id = D\naws_secret_access_key = d%d\n"
            "[other]\naws_access_key_id=O\naws_secret_access_key=o\naws_session_token=t\n"
        )
        assert (await find(made)).value == AwsCredentials("D", "d%d")
        made.environ["AWS_PROFILE"] = "other"
        assert (await find(made)).value == AwsCredentials("O", "o", "t")
        made.environ["AWS_PROFILE"] = "missing"
        with pytest.raises(CredentialsUnavailable, match="missing"):
            await find(made)
        made.environ["AWS_SHARED_CREDENTIALS_FILE"] = "/etc/keys"
        made.files["/etc/keys"] = "[missing]\naws_access_key_id=X\naws_secret_access_key=x\n"
        assert (await find(made)).value == AwsCredentials("X", "x")


@pytest_twisted.ensureDeferred
async def test_a_role_by_way_of_a_source_profile() -> None:
    async with world() as (made, aws):
        aws.keys["BASE"] = "base-secret"
        aws.external_id = "id-1"
        made.environ["AWS_PROFILE"] = "app"
        made.files["/home/me/.aws/credentials"] = (
            "[base]\naws_access_key_id=BASE\naws_secret_access_key=base-secret\n"
        )
        made.files["/home/me/.aws/config"] = (
            f"[profile app]\nrole_arn={ROLE}\nsource_profile=base\nrole_session_name=me\n"
            "external_id=id-1\nduration_seconds=900\n"
        )
        lease = await find(made)
        assert lease.value == ISSUED
        assert lease.expires == NOW + 3_600_000
        assert aws.calls[0]["RoleSessionName"] == "me"
        assert aws.calls[0]["DurationSeconds"] == "900"


@pytest_twisted.ensureDeferred
async def test_a_role_of_a_role_and_a_profile_that_is_its_own_source() -> None:
    async with world() as (made, aws):
        aws.keys["BASE"] = "base-secret"
        made.files["/home/me/.aws/config"] = (
            f"[default]\nrole_arn={ROLE}\nsource_profile=middle\n"
            "[profile middle]\nrole_arn=arn:aws:iam::1:role/other\nsource_profile=middle\n"
            "aws_access_key_id=BASE\naws_secret_access_key=base-secret\n"
        )
        lease = await find(made)
        assert lease.value.session_token == "token-2"
        assert [call["RoleArn"] for call in aws.calls] == ["arn:aws:iam::1:role/other", ROLE]


@pytest_twisted.ensureDeferred
async def test_profiles_that_lead_nowhere() -> None:
    async with world() as (made, _):
        made.environ["AWS_PROFILE"] = "a"
        for text, why in (
            (
                f"role_arn={ROLE}\nsource_profile=b\n[profile b]\nrole_arn=r\nsource_profile=a",
                "own",
            ),
            (f"role_arn={ROLE}\nsource_profile=gone", "gone"),
            (f"role_arn={ROLE}", "no source"),
            (f"role_arn={ROLE}\ncredential_source=EcsContainer", "no source"),
            (f"role_arn={ROLE}\nsource_profile=b\nmfa_serial=m", "device"),
            ("aws_access_key_id=A", "no credentials"),
            ("region=r", "no credentials"),
            ("sso_session=s", "has sso_session, which is not supported"),
        ):
            made.files["/home/me/.aws/config"] = f"[profile a]\n{text}\n"
            with pytest.raises(CredentialsUnavailable, match=why):
                await find(made)


@pytest_twisted.ensureDeferred
async def test_a_default_profile_that_cannot_be_used_is_not_passed_over() -> None:
    async with world() as (made, _):
        made.files["/home/me/.aws/config"] = "[default]\ncredential_process = /bin/vault\n"
        with pytest.raises(CredentialsUnavailable, match="'default' has credential_process"):
            await find(made)
        made.files["/home/me/.aws/config"] = "[default]\nregion = eu-central-1\n"
        assert (await find(made)).value == ISSUED, "of the instance"


@pytest_twisted.ensureDeferred
async def test_a_role_whose_source_is_a_place() -> None:
    async with world() as (made, aws):
        made.environ["AWS_PROFILE"] = "app"
        made.files["/home/me/.aws/config"] = (
            f"[profile app]\nrole_arn={ROLE}\ncredential_source=Ec2InstanceMetadata\n"
        )
        assert (await find(made)).value.session_token == "token-2"
        made.files["/home/me/.aws/config"] = (
            f"[profile app]\nrole_arn={ROLE}\ncredential_source=Environment\n"
        )
        aws.keys["ENV"] = "s"
        made.environ["AWS_SECRET_ACCESS_KEY"] = "s"
        with pytest.raises(CredentialsUnavailable):
            await find(made)


@pytest_twisted.ensureDeferred
async def test_web_identity_reads_its_token_each_time() -> None:
    async with world() as (made, aws):
        made.environ |= {"AWS_WEB_IDENTITY_TOKEN_FILE": "/token", "AWS_ROLE_ARN": ROLE}
        aws.web_tokens = {"one"}
        made.files["/token"] = "one\n"
        assert (await find(made)).value == ISSUED
        aws.web_tokens = {"two"}
        with pytest.raises(Refusal, match="WebIdentityToken"):
            await find(made)
        made.files["/token"] = "two"
        await find(made)
        del made.environ["AWS_ROLE_ARN"]
        with pytest.raises(CredentialsUnavailable, match="AWS_ROLE_ARN"):
            await find(made)


@pytest_twisted.ensureDeferred
async def test_a_container() -> None:
    async with world() as (made, _aws):
        made.environ["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"] = "/v2/credentials/task"
        lease = await find(made)
        assert (lease.value, lease.expires) == (ISSUED, NOW + 3_600_000)
        assert made.network.connected == ["http://169.254.170.2"]


@pytest_twisted.ensureDeferred
async def test_a_container_by_full_uri_with_a_token_file() -> None:
    async with world() as (made, aws):
        aws.container_token = "proof"
        made.files["/proof"] = "proof\n"
        made.environ["AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"] = "/proof"
        for place in (
            "http://169.254.170.23",
            "http://127.0.0.1:51679",
            "https://credentials.example",
        ):
            made.environ["AWS_CONTAINER_CREDENTIALS_FULL_URI"] = f"{place}/v1/credentials"
            await find(made)
        made.environ["AWS_CONTAINER_CREDENTIALS_FULL_URI"] = "http://credentials.example/v1/x"
        with pytest.raises(CredentialsUnavailable, match="https"):
            await find(made)
        made.environ["AWS_CONTAINER_CREDENTIALS_FULL_URI"] = "nowhere"
        with pytest.raises(CredentialsUnavailable, match="URL"):
            await find(made)
        made.files["/proof"] = "pro\r\nof"
        with pytest.raises(CredentialsUnavailable, match="characters"):
            await find(made)


@pytest_twisted.ensureDeferred
async def test_the_instance_by_the_second_version_alone() -> None:
    async with world() as (made, aws):
        lease = await find(made)
        assert (lease.value, lease.expires) == (ISSUED, NOW + 3_600_000)
        aws.instance_role = ""
        with pytest.raises(CredentialsUnavailable, match="no role"):
            await find(made)
        made.environ["AWS_EC2_METADATA_DISABLED"] = "true"
        with pytest.raises(CredentialsUnavailable, match="DISABLED"):
            await find(made)
        assert aws.refused == []


@pytest_twisted.ensureDeferred
async def test_a_machine_without_any() -> None:
    async with machine() as made:
        with pytest.raises(CredentialsUnavailable, match="nor the shared files have any") as caught:
            await find(made)
        assert "http://169.254.169.254" in str(caught.value)
        assert made.network.connected == ["http://169.254.169.254"] * 3


@pytest_twisted.ensureDeferred
async def test_requests_are_signed_with_what_was_found_and_found_anew_when_refused() -> None:
    async with world() as (made, aws):
        authorizer = aws_authorizer(made.near, "eu-central-1")
        request = RemoteRequest(
            method="GET", origin=Origin("https", "s3.example", 443), target=b"/b/k"
        )
        headers: Any = dict((await authorizer.authorize(request)).headers)
        assert headers[b"x-amz-security-token"] == b"token-1"
        await authorizer.authorize(request)
        assert aws.issued == 1
        refusal = Refusal(ProviderError(status=403, code="ExpiredToken"))
        assert authorizer.rejected(refusal)
        headers = dict((await authorizer.authorize(request)).headers)
        assert headers[b"x-amz-security-token"] == b"token-2"
        made.time += 3_600_000
        headers = dict((await authorizer.authorize(request)).headers)
        assert headers[b"x-amz-security-token"] == b"token-3"
        assert not authorizer.rejected(Refusal(ProviderError(status=403, code="AccessDenied")))
        assert not authorizer.rejected(Refusal(ProviderError(status=404)))


@pytest.mark.parametrize("status", [400, 403])
@pytest_twisted.ensureDeferred
async def test_what_refuses_a_head_may_be_that_credentials_have_expired(status: int) -> None:
    async with world() as (made, aws):
        authorizer = aws_authorizer(made.near, "eu-central-1")
        request = RemoteRequest(
            method="HEAD", origin=Origin("https", "s3.example", 443), target=b"/b"
        )
        await authorizer.authorize(request)
        assert authorizer.rejected(Refusal(ProviderError(status=status)))
        await authorizer.authorize(request)
        assert aws.issued == 2


def test_profiles_of_both_files() -> None:
    profiles = parse_profiles(
        "[a]\nX = credentials\n",
        "[default]\nx=1\n[profile a]\nx=config\ny=2\n[profile 'b c']\nz=3\n"
        "[sso-session s]\nq=1\n[broken]\nq=1\n[profile a]\nnested =\n  one = 1\n",
    )
    assert profiles["default"] == {"x": "1"}
    assert profiles["a"] == {"x": "credentials", "y": "2", "nested": "\none = 1"}
    assert profiles["b c"] == {"z": "3"}
    assert set(profiles) == {"default", "a", "b c"}
    with pytest.raises(CredentialsUnavailable, match="malformed") as caught:
        parse_profiles("[a\nsecret", None)
    assert "secret" not in str(caught.value)


def test_where_sts_is() -> None:
    assert sts_endpoint({}, "us-east-1") == "https://sts.us-east-1.amazonaws.com/"
    assert sts_endpoint({}, "cn-north-1") == "https://sts.cn-north-1.amazonaws.com.cn/"
    assert sts_endpoint({}, "eusc-de-east-1") == "https://sts.eusc-de-east-1.amazonaws.eu/"
    assert sts_endpoint({}, "us-gov-west-1") == "https://sts.us-gov-west-1.amazonaws.com/"
    assert sts_endpoint({}, "us-iso-east-1") == "https://sts.us-iso-east-1.c2s.ic.gov/"
    assert sts_endpoint({"AWS_ENDPOINT_URL": "http://x"}, "r") == "http://x/"
    environ = {"AWS_ENDPOINT_URL": "http://x", "AWS_ENDPOINT_URL_STS": "http://y/"}
    assert sts_endpoint(environ, "r") == "http://y/"


def test_no_secret_is_shown() -> None:
    assert "secret" not in repr(AwsCredentials("KEY", "secret", "secret-token"))
