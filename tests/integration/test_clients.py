"""Real clients with their own default settings store and fetch real files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore.config import Config
from minio import Minio
from s3transfer.crt import (
    BotocoreCRTCredentialsWrapper,
    BotocoreCRTRequestSerializer,
    CRTTransferManager,
    create_s3_crt_client,
)

from tests.integration import clients
from tests.integration.clients import AWS_ENVIRONMENT, clean_environment, find, own, run
from tests.integration.conftest import tree
from tests.integration.daemon import Daemon


@pytest.fixture(scope="session", params=["local", "aws", "gcp", "azure"])
def backend(request: pytest.FixtureRequest) -> str:
    """As everywhere, but the network does not fail."""
    name: str = request.param
    return name


@pytest.fixture(params=["beside", "system"])
def aws(request: pytest.FixtureRequest) -> Path:
    """The AWS CLI: version 1 from PyPI, and version 2 as Debian packages it."""
    if request.param == "beside":
        return find("aws")
    system = Path("/usr/bin/aws")
    if not system.exists():
        pytest.skip("Debian's awscli is not installed (tests/integration/install-clients does it)")
    return system


def test_aws_cli(aws: Path, server: Daemon, bucket: str, files: Path, tmp_path: Path) -> None:
    env = clean_environment(tmp_path, {**AWS_ENVIRONMENT, "AWS_ENDPOINT_URL": server.url})
    command = (aws, "--endpoint-url", server.url, "s3")
    run(*command, "sync", files, f"s3://{bucket}/tree", env=env, cwd=tmp_path)
    listed = run(*command, "ls", "--recursive", f"s3://{bucket}/tree/", env=env, cwd=tmp_path)
    assert "ünï cödé + (1)~'x'.txt" in listed.stdout
    run(*command, "sync", f"s3://{bucket}/tree", tmp_path / "back", env=env, cwd=tmp_path)
    assert tree(tmp_path / "back") == tree(files)
    again = run(*command, "sync", files, f"s3://{bucket}/tree", env=env, cwd=tmp_path)
    assert again.stdout == "", "nothing changed, so nothing is sent"
    name = f"s3://{bucket}/tree/several parts.bin"
    # Version 2 reads the tags of a large source, which this server does not have yet.
    kept = () if aws.parent != Path("/usr/bin") else ("--copy-props", "metadata-directive")
    run(*command, "cp", *kept, name, f"s3://{bucket}/copy", env=env, cwd=tmp_path)
    run(*command, "mv", f"s3://{bucket}/copy", "moved", env=env, cwd=tmp_path)
    assert (tmp_path / "moved").read_bytes() == (files / "several parts.bin").read_bytes()
    presigned = run(*command, "presign", name, env=env, cwd=tmp_path).stdout.strip()
    run(find("curl"), "-sSf", "-o", "fetched", presigned, env=env, cwd=tmp_path)
    assert (tmp_path / "fetched").read_bytes() == (files / "several parts.bin").read_bytes()
    run(*command, "rb", "--force", f"s3://{bucket}", env=env, cwd=tmp_path)


def test_boto3_transfers(s3: Any, bucket: str, files: Path, tmp_path: Path) -> None:
    for name, content in tree(files).items():
        s3.upload_file(str(files / name), bucket, name)
        target = tmp_path / "fetched"
        s3.download_file(bucket, name, str(target))
        assert target.read_bytes() == content
    keys = [entry["Key"] for entry in s3.list_objects_v2(Bucket=bucket)["Contents"]]
    assert keys == sorted(tree(files), key=str.encode)


def test_crt_transfers(server: Daemon, bucket: str, files: Path, tmp_path: Path) -> None:
    """AWS's client in C, by which boto3, the AWS CLI and Mountpoint transfer if they are told to.

    It is made here as they make it, but for TLS, which boto3 always wants of it.
    """
    session = botocore.session.get_session()
    session.set_credentials(clients.ACCESS_KEY, clients.SECRET_KEY)
    credentials = BotocoreCRTCredentialsWrapper(session.get_credentials())
    client = create_s3_crt_client(
        clients.REGION,
        crt_credentials_provider=credentials.to_crt_credentials_provider(),
        part_size=6 << 20,
        use_ssl=False,
    )
    path_style = Config(s3={"addressing_style": "path"})
    requests = BotocoreCRTRequestSerializer(
        session,
        {"region_name": clients.REGION, "endpoint_url": server.url, "config": path_style},
    )
    back = tmp_path / "back"
    with CRTTransferManager(client, requests) as transfers:
        for name in tree(files):
            (back / name).parent.mkdir(parents=True, exist_ok=True)
            transfers.upload(str(files / name), bucket, name).result()
            transfers.download(bucket, name, str(back / name)).result()
        for algorithm in ("CRC32C", "SHA256", "CRC64NVME"):
            asked = {"ChecksumAlgorithm": algorithm}
            large = str(files / "several parts.bin")
            transfers.upload(large, bucket, algorithm, extra_args=asked).result()
    assert tree(back) == tree(files)  # files have their names when the transfers have shut down


def test_s3cmd(server: Daemon, bucket: str, files: Path, tmp_path: Path) -> None:
    (tmp_path / ".s3cfg").write_text(
        f"[default]\naccess_key = {clients.ACCESS_KEY}\nsecret_key = {clients.SECRET_KEY}\n"
        f"host_base = 127.0.0.1:{server.port}\nhost_bucket = 127.0.0.1:{server.port}\n"
        "use_https = False\n"
    )
    env = clean_environment(tmp_path)
    s3cmd = find("s3cmd")
    run(s3cmd, "sync", f"{files}/", f"s3://{bucket}/tree/", env=env, cwd=tmp_path)
    (tmp_path / "back").mkdir()
    run(s3cmd, "sync", f"s3://{bucket}/tree/", f"{tmp_path}/back/", env=env, cwd=tmp_path)
    assert tree(tmp_path / "back") == tree(files)
    run(s3cmd, "setacl", "--acl-public", f"s3://{bucket}/tree/empty", env=env, cwd=tmp_path)
    info = run(s3cmd, "info", f"s3://{bucket}/tree/empty", env=env, cwd=tmp_path)
    assert "anon" in info.stdout
    run(s3cmd, "rb", "--recursive", "--force", f"s3://{bucket}", env=env, cwd=tmp_path)


def test_rclone(server: Daemon, bucket: str, files: Path, tmp_path: Path) -> None:
    env = clean_environment(
        tmp_path,
        {
            "RCLONE_CONFIG_BLEEP_TYPE": "s3",
            "RCLONE_CONFIG_BLEEP_PROVIDER": "Other",
            "RCLONE_CONFIG_BLEEP_ACCESS_KEY_ID": clients.ACCESS_KEY,
            "RCLONE_CONFIG_BLEEP_SECRET_ACCESS_KEY": clients.SECRET_KEY,
            "RCLONE_CONFIG_BLEEP_ENDPOINT": server.url,
        },
    )
    rclone = find("rclone")
    run(rclone, "copy", files, f"bleep:{bucket}/tree", env=env, cwd=tmp_path)
    run(rclone, "check", files, f"bleep:{bucket}/tree", env=env, cwd=tmp_path)
    run(rclone, "copy", f"bleep:{bucket}/tree", tmp_path / "back", env=env, cwd=tmp_path)
    assert tree(tmp_path / "back") == tree(files)
    run(
        rclone,
        "moveto",
        f"bleep:{bucket}/tree/small.txt",
        f"bleep:{bucket}/n",
        env=env,
        cwd=tmp_path,
    )
    run(rclone, "purge", f"bleep:{bucket}", env=env, cwd=tmp_path)


def test_s5cmd(server: Daemon, bucket: str, files: Path, tmp_path: Path) -> None:
    env = clean_environment(tmp_path, AWS_ENVIRONMENT)
    command = (find("s5cmd"), "--endpoint-url", server.url)
    there = f"s3://{bucket}/tree/"
    run(*command, "cp", "--part-size", "6", f"{files}/", there, env=env, cwd=tmp_path)
    assert run(*command, "sync", f"{files}/", there, env=env, cwd=tmp_path).stdout == ""
    run(*command, "cp", f"{there}*", "back/", env=env, cwd=tmp_path)
    assert tree(tmp_path / "back") == tree(files)
    run(*command, "mv", f"{there}deep/*", f"s3://{bucket}/moved/", env=env, cwd=tmp_path)
    listed = run(*command, "ls", f"s3://{bucket}/moved/*", env=env, cwd=tmp_path).stdout
    assert "er/ünï cödé + (1)~'x'.txt" in listed
    run(*command, "rm", f"s3://{bucket}/*", env=env, cwd=tmp_path)
    run(*command, "rb", f"s3://{bucket}", env=env, cwd=tmp_path)


def test_restic(server: Daemon, files: Path, tmp_path: Path) -> None:
    env = clean_environment(
        tmp_path,
        {
            **AWS_ENVIRONMENT,
            "RESTIC_REPOSITORY": f"s3:{server.url}/restic-backups",
            "RESTIC_PASSWORD": "correct horse",
        },
    )
    restic = find("restic")
    run(restic, "init", env=env, cwd=tmp_path)
    run(restic, "backup", "files", env=env, cwd=tmp_path)
    run(restic, "check", "--read-data", env=env, cwd=tmp_path)
    run(restic, "restore", "latest", "--target", "back", env=env, cwd=tmp_path)
    assert tree(tmp_path / "back" / "files") == tree(files)
    run(restic, "forget", "--keep-last", "1", "--prune", env=env, cwd=tmp_path)


def test_minio_client_library(server: Daemon, bucket: str, files: Path, tmp_path: Path) -> None:
    client = Minio(
        f"127.0.0.1:{server.port}",
        access_key=clients.ACCESS_KEY,
        secret_key=clients.SECRET_KEY,
        secure=False,
    )
    for name, content in tree(files).items():
        client.fput_object(bucket, name, str(files / name))
        client.fget_object(bucket, name, str(tmp_path / "fetched"))
        assert (tmp_path / "fetched").read_bytes() == content
    assert {entry.object_name for entry in client.list_objects(bucket, recursive=True)} == set(
        tree(files)
    )


S3FS_SCRIPT = """
import sys, s3fs
url, bucket, files, back = sys.argv[1:]
fs = s3fs.S3FileSystem(key="bleepstore", secret="bleepstore-secret", endpoint_url=url)
fs.put(files, bucket + "/tree", recursive=True)
fs.get(bucket + "/tree", back, recursive=True)
with fs.open(bucket + "/tree/deep/written", "wb") as f:
    f.write(b"x" * 6_000_000)
with fs.open(bucket + "/tree/deep/written", "rb") as f:
    f.seek(5_999_999)
    assert f.read() == b"x"
assert fs.exists(bucket + "/tree/deep") and fs.isdir(bucket + "/tree/deep")
fs.rm(bucket + "/tree", recursive=True)
assert not fs.exists(bucket + "/tree")
"""


def test_s3fs(server: Daemon, bucket: str, files: Path, tmp_path: Path) -> None:
    for path in files.rglob("*[?*]*"):
        path.unlink()  # fsspec takes these for patterns
    env = clean_environment(tmp_path)
    python = own("s3fs", "bin", "python")
    back = tmp_path / "back"
    run(python, "-c", S3FS_SCRIPT, server.url, bucket, files, back, env=env, cwd=tmp_path)
    assert tree(back) == tree(files)


JAVASCRIPT = """
const { S3Client, PutObjectCommand, GetObjectCommand, ListObjectsV2Command, DeleteObjectsCommand,
        CopyObjectCommand } = require("@aws-sdk/client-s3");
const { Upload } = require("@aws-sdk/lib-storage");
const fs = require("fs");
const [url, bucket, folder, back] = process.argv.slice(2);
const client = new S3Client({ endpoint: url, region: "us-east-1", forcePathStyle: true,
  credentials: { accessKeyId: "bleepstore", secretAccessKey: "bleepstore-secret" } });
(async () => {
  const keys = [];
  for (const name of fs.readdirSync(folder, { recursive: true })) {
    const path = folder + "/" + name;
    const stat = fs.statSync(path);
    if (!stat.isFile()) continue;
    keys.push(name);
    if (stat.size > 1_000_000) {
      await new Upload({ client, params: { Bucket: bucket, Key: name,
        Body: fs.createReadStream(path) } }).done();
    } else {
      await client.send(new PutObjectCommand({ Bucket: bucket, Key: name,
        Body: fs.createReadStream(path), ContentLength: stat.size }));
    }
    const got = await client.send(new GetObjectCommand({ Bucket: bucket, Key: name }));
    const target = back + "/" + name;
    fs.mkdirSync(require("path").dirname(target), { recursive: true });
    fs.writeFileSync(target, await got.Body.transformToByteArray());
  }
  await client.send(new CopyObjectCommand({ Bucket: bucket, Key: "copied",
    CopySource: encodeURIComponent(bucket + "/" + keys[0]) }));
  const listed = await client.send(new ListObjectsV2Command({ Bucket: bucket }));
  console.log(JSON.stringify(listed.Contents.map((entry) => entry.Key)));
  await client.send(new DeleteObjectsCommand({ Bucket: bucket,
    Delete: { Objects: listed.Contents.map((entry) => ({ Key: entry.Key })) } }));
  const empty = await client.send(new ListObjectsV2Command({ Bucket: bucket }));
  if (empty.KeyCount !== 0) throw new Error("not empty");
})().catch((error) => { console.error(error); process.exit(1); });
"""


def test_javascript_sdk_v3(server: Daemon, bucket: str, files: Path, tmp_path: Path) -> None:
    modules = own("javascript", "node_modules")
    env = clean_environment(tmp_path, {"NODE_PATH": str(modules)})
    script = tmp_path / "script.js"
    script.write_text(JAVASCRIPT)
    back = tmp_path / "back"
    done = run(find("node"), script, server.url, bucket, files, back, env=env, cwd=tmp_path)
    assert set(json.loads(done.stdout)) == {*tree(files), "copied"}
    assert tree(back) == tree(files)


def test_curl_signs_requests(server: Daemon, bucket: str, tmp_path: Path) -> None:
    env = clean_environment(tmp_path)
    sign = (
        "--aws-sigv4",
        "aws:amz:us-east-1:s3",
        "-u",
        f"{clients.ACCESS_KEY}:{clients.SECRET_KEY}",
    )
    unsigned = ("-H", "x-amz-content-sha256: UNSIGNED-PAYLOAD")
    url = f"{server.url}/{bucket}/from-curl"
    (tmp_path / "big").write_bytes(b"y" * 3_000_000)
    run(find("curl"), "-sSf", *sign, *unsigned, "-T", "big", url, env=env, cwd=tmp_path)
    run(find("curl"), "-sSf", *sign, *unsigned, "-o", "back", url, env=env, cwd=tmp_path)
    assert (tmp_path / "back").read_bytes() == b"y" * 3_000_000
    # As to a proxy, with the whole URL as the target (RFC 9112, section 3.2.2).
    proxy = ("-x", server.url)
    run(find("curl"), "-sSf", *sign, *unsigned, *proxy, "-o", "again", url, env=env, cwd=tmp_path)
    assert (tmp_path / "again").read_bytes() == b"y" * 3_000_000
