"""producers/instagram.py: names, the records of made up and recorded people, pictures in a real S3 server (moto)."""

from __future__ import annotations

import hashlib
import json
import lzma
import os
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import boto3
import instaloader
import pytest
from moto.server import ThreadedMotoServer

from models import data
from producers import _pictures
from producers._command_line import InputError
from producers._instagram_records import hashtags, mentions
from producers._pictures import UnknownFormat, suffix
from producers._usernames import username
from producers.instagram import main, parser
from producers.synthetic_instagram import DEMO_USERS
from settings import ROOT, settings
from tests.producers.conftest import partitions

Fields = dict[str, Any]
BUCKET = "pictures-of-a-test"
JPEG = b"\xff\xd8\xff\xe0 a picture"


def told(tmp_path: Path, *arguments: str, pictures: bool = True) -> dict[str, list[Fields]]:
    """What the producer writes when it ends well, by topic."""
    file = tmp_path / "told.jsonl"
    stored = ["--pictures", str(tmp_path / "pictures")] if pictures else ["--no-pictures"]
    assert main([*arguments, *stored, "--output", str(file)]) == 0
    found: dict[str, list[Fields]] = {"user_basic_info": [], "user_posts_description": [], "user_post_images": []}
    for line in file.read_text(encoding="utf-8").split("\n")[:-1]:
        record = json.loads(line)
        found[record["topic"]].append(record["value"])
    return found


def without(fields: Fields, *names: str) -> Fields:
    return {name: value for name, value in fields.items() if name not in names}


@pytest.mark.parametrize(
    ("text", "expected"),
    [("anna", "anna"), ("@Anna.B_9", "anna.b_9"), ("_", "_"), ("1", "1"), ("a" * 30, "a" * 30), ("a.b.c", "a.b.c")],
)
def test_a_username_is_kept_in_lower_case_without_its_at(text: str, expected: str) -> None:
    assert username(text) == expected


HOSTILE = [
    "",
    "@",
    "@@anna",
    " anna",
    "anna b",
    ".",
    "..",
    ".anna",
    "anna.",
    "an..na",
    "../../etc/passwd",
    "/etc/passwd",
    "..\\..\\windows",
    "anna/../../x",
    "$(rm -rf /)",
    "`id`",
    "anna; rm -rf /",
    "anna && true",
    "anna|cat",
    "' OR '1'='1",
    "anna'; DROP TABLE users; --",
    "anna%00",
    "anna\x00",
    "anna\n",
    "\nanna",
    "anna\r\nHost: x",
    "\x1b[31manna",
    "anna\u202e",
    "anna\u200b",
    "\u0430nna",  # a Cyrillic a
    "\u212aim",  # the Kelvin sign: its lower case is an ASCII k
    "ａｎｎａ",
    "ann\u0131",
    "anna\udcff",
    "a" * 31,
    "a" * 300,
    "<script>",
    "*",
    "~",
    "https://www.instagram.com/anna/",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_username_is_refused_with_a_sentence_before_anything_is_done(
    text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "told.jsonl"
    for source in (["synthetic"], ["recorded", str(tmp_path)], ["live"]):
        # Neither Kafka, nor S3, nor Instagram is looked for.
        assert main(["--user", "honest", text, "--source", *source]) == 2
        assert main(["--user", "honest", text, "--source", *source, "--output", str(file)]) == 2
        said = capsys.readouterr().err

        assert said.count("is no Instagram username") == 2
        assert len(said) < 2 * 300
        assert said.isascii()
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", said)
        assert said.count("\n") == 2
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(InputError):
        username(text)


def test_users_come_from_options_and_a_file_each_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    users = tmp_path / "users.txt"
    users.write_text("\ufeff# those to look at\n@Anna\r\n\n  ben_2  \nanna\n", encoding="utf-8")
    arguments = ["--user", "carl", "ANNA", "--user", "missing_one", "--users-file", str(users), "--max-posts", "2"]
    found = told(tmp_path, *arguments, pictures=False)

    assert [each["username"] for each in found["user_basic_info"]] == ["carl", "anna", "missing_one", "ben_2"]
    missing = found["user_basic_info"][2]
    assert missing["status"] == "missing"
    assert [name for name, value in missing.items() if value is not None] == ["username", "status", "taken_at"]
    assert found["user_post_images"] == []

    users.write_text("anna\n../anna\n", encoding="utf-8")
    assert main(["--users-file", str(users), "--output", "-"]) == 2
    assert f"{users}, line 2: '../anna' is no Instagram username" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--source", "films"], "There is no --source 'films'"),
        (["--source", "recorded"], "--source recorded needs a folder"),
        (["--source", "recorded", "/no/such/folder"], "There is no folder /no/such/folder"),
        (
            ["--source", "recorded", "tests/producers", "--recorded-dir", "/no/such/folder"],
            "There is no folder /no/such/folder",
        ),
        (["--source", "synthetic", "folder"], "--source synthetic takes no folder"),
        (["--source", "live", "folder", "--user", "a"], "--source live takes no folder"),
        (["--recorded-dir", "folder"], "--source synthetic takes no folder"),
        (["--source", "live"], "--source live needs a --user"),
        (["--source", "live", "--user", "a", "--pace", "0.1"], "--pace is 1 s or more"),
        (["--source", "live", "--user", "a", "--login", "me"], "give both"),
        (["--source", "live", "--user", "a", "--rate", "1"], "--rate is for synthetic"),
        (["--until", "2026-01-01", "--rate", "1"], "it does not go with --until"),
        (["--every", "5"], "--every is for live"),
        (["--session-file", "x"], "are for --source live"),
        (["--since", "2026-02-30"], "'2026-02-30' is no date"),
        (["--until", "tomorrow"], "'tomorrow' is no date"),
        (["--until", "9999-12-31"], "'9999-12-31' is no date"),
        (["--since", "2026-02-02", "--until", "2026-02-01"], "--until (2026-02-01) is not after --since"),
        (["--since", "2026-02-02", "--backfill-days", "3"], "either --since or --backfill-days"),
        (["--backfill-days", "1e300"], "further back than time"),
        (["--backfill-days", "1e6"], "further back than time"),
        (["--users-file", "/no/such/file"], "/no/such/file cannot be read"),
        (["--users-file", "/dev/null"], "There is no username in /dev/null"),
        (["--output", "/no/such/folder/x", "--no-pictures"], "/no/such/folder/x cannot be written"),
        (["--output", "-", "--pictures", "/dev/null/x"], "Pictures cannot be written to /dev/null/x"),
        (["--pictures", "x", "--no-pictures"], "--pictures FOLDER goes with"),
    ],
)
def test_wrong_input_is_said_with_exit_code_2(
    arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if "--output" not in arguments and "--pictures" not in arguments:
        arguments = [*arguments, "--output", os.devnull]
    assert main(arguments) == 2

    said = capsys.readouterr().err
    assert sentence in said
    assert said.count("\n") == 1


def test_there_is_no_way_to_give_a_password() -> None:
    assert not re.search("passw", " ".join(parser()._option_string_actions), re.IGNORECASE)
    with pytest.raises(SystemExit) as ended:
        main(["--source", "live", "--user", "a", "--password", "x"])
    assert ended.value.code == 2


def test_the_five_of_the_demo_are_told_and_told_again_alike(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    found, again = (told(tmp_path / name, "--until", "2026-05-01") for name in ("one", "two"))
    profiles = {each["username"]: each for each in found["user_basic_info"]}
    captions = Counter(each["username"] for each in found["user_posts_description"])
    images = Counter(each["username"] for each in found["user_post_images"])

    assert list(profiles) == list(DEMO_USERS)
    sunny, grumpy, private, text_only, wordy = DEMO_USERS
    assert set(captions) == {sunny, grumpy, text_only, wordy}
    assert set(images) == {sunny, grumpy, wordy}
    assert profiles[private]["status"] == "private"
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", each["taken_at"]) for each in profiles.values())
    assert set(found["user_posts_description"][0]) == {
        "username", "post_id", "caption", "hashtags", "mentions", "likes", "comments", "timestamp", "taken_at",
    }  # fmt: skip
    assert set(found["user_post_images"][0]) == {
        "username", "post_id", "bucket", "s3_path", "content_hash", "media_type", "timestamp", "taken_at",
    }  # fmt: skip
    assert {"image", "video"} == {each["media_type"] for each in found["user_post_images"]}

    stored = {each for each in (tmp_path / "one" / "pictures").rglob("*") if each.is_file()}
    told_paths = {tmp_path / "one" / "pictures" / each["s3_path"] for each in found["user_post_images"]}
    assert stored == told_paths
    assert len(stored) < len(found["user_post_images"])  # some posts show a picture again
    for each in found["user_post_images"]:
        content = (tmp_path / "one" / "pictures" / each["s3_path"]).read_bytes()
        assert hashlib.sha256(content).hexdigest() == each["content_hash"]
        assert each["s3_path"] == f"images/{each['content_hash'][:2]}/{each['content_hash']}.jpg"

    for topic, records in found.items():
        assert [without(each, "taken_at") for each in records] == [without(each, "taken_at") for each in again[topic]]


def test_since_until_max_posts_and_limit_choose(tmp_path: Path) -> None:
    whole = told(tmp_path, "--since", "2025-01-01", "--until", "2025-12-31", pictures=False)["user_posts_description"]
    march = told(tmp_path, "--since", "2025-03-01", "--until", "2025-03-31", pictures=False)["user_posts_description"]
    newest = told(tmp_path, "--since", "2025-03-01", "--until", "2025-03-31", "--max-posts", "1", pictures=False)
    limited = told(tmp_path, "--until", "2025-12-31", "--limit", "7", pictures=False)

    assert march
    assert [each["post_id"] for each in march] == [
        each["post_id"] for each in whole if each["timestamp"].startswith("2025-03")
    ]
    latest = {each["username"]: each["post_id"] for each in march}
    assert {each["username"]: each["post_id"] for each in newest["user_posts_description"]} == latest
    assert len(newest["user_posts_description"]) == len(latest)
    assert sum(map(len, limited.values())) == 7


def test_with_a_rate_it_goes_on_until_it_is_stopped(tmp_path: Path) -> None:
    arguments = ["--user", "anna", "--backfill-days", "0", "--rate", "600", "--no-pictures", "--output", "-"]
    command = [sys.executable, "-m", "producers.instagram", *arguments]
    # Bytes: a text that is read in part, and then to the end, may be cut within a character.
    program = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert program.stdout
    lines = [json.loads(program.stdout.readline()) for _ in range(8)]
    program.terminate()
    said = program.communicate(timeout=30)[1].decode()

    assert program.returncode == 0
    assert "Stopped." in said
    assert "Traceback" not in said
    assert [line["topic"] for line in lines[1:5]] == ["user_posts_description", "user_basic_info"] * 2
    counts = [line["value"]["number_of_posts"] for line in lines if line["topic"] == "user_basic_info"]
    assert counts == list(range(counts[0], counts[0] + len(counts)))


@pytest.mark.parametrize(
    ("caption", "tags", "names"),
    [
        ("", [], []),
        ("#One #two #ONE, #three_3!", ["one", "two", "three_3"], []),
        ("#日本語 and #größe", ["日本語", "größe"], []),
        ("with @Anna.b. and (@c_d), @anna.b", [], ["anna.b", "c_d"]),
        ("mail me: me@example.org, or me.@x", [], []),
        ("# alone, @ alone", [], []),
    ],
)
def test_hashtags_and_mentions_of_a_caption(caption: str, tags: list[str], names: list[str]) -> None:
    assert (hashtags(caption), mentions(caption)) == (tags, names)


# Pictures in S3


@pytest.fixture(scope="module")
def moto_server() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[pytest.MonkeyPatch]:
    """Settings and credentials of this test's own."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "no-config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "no-credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "of-a-test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hush-hush")
    monkeypatch.setenv("CROWDPULSE_S3_BUCKET", BUCKET)
    settings.cache_clear()
    yield monkeypatch
    monkeypatch.undo()
    settings.cache_clear()


def test_pictures_are_in_s3_each_once(moto_server: str, environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    environment.setenv("CROWDPULSE_S3_ENDPOINT", moto_server)
    client = boto3.client("s3", endpoint_url=moto_server, region_name="eu-west-1")
    client.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    client.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    images = []
    for number in range(2):
        file = tmp_path / f"{number}.jsonl"
        assert main(["--until", "2026-05-01", "--max-posts", "5", "--output", str(file)]) == 0
        lines = map(json.loads, file.read_text(encoding="utf-8").split("\n")[:-1])
        images += [line["value"] for line in lines if line["topic"] == "user_post_images"]
    found = client.list_object_versions(Bucket=BUCKET)["Versions"]

    assert {each["s3_path"] for each in images} == {each["Key"] for each in found}
    assert len(found) == len({each["Key"] for each in found}) <= len(images) / 2  # no object was written twice
    for each in images[:3]:
        stored = client.get_object(Bucket=each["bucket"], Key=each["s3_path"])
        assert hashlib.sha256(stored["Body"].read()).hexdigest() == each["content_hash"]
        assert stored["ContentType"] == "image/jpeg"
        assert stored["Metadata"] == {"sha256": each["content_hash"]}


def test_what_was_stored_is_remembered_for_a_while(
    moto_server: str, environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    client = boto3.client("s3", endpoint_url=moto_server, region_name="us-east-1")
    client.create_bucket(Bucket="for-a-while")
    pictures = _pictures.S3Pictures(moto_server, "us-east-1", "for-a-while")
    environment.setattr(_pictures, "MOST_KNOWN", 2)
    stored = [pictures.put(JPEG + bytes([number])) for number in range(3)]
    for each in stored:
        client.delete_object(Bucket=each.bucket, Key=each.key)

    def there() -> set[str]:
        return {each["Key"] for each in client.list_objects_v2(Bucket="for-a-while").get("Contents", [])}

    pictures.put(JPEG + bytes([2]))
    assert there() == set()
    pictures.put(JPEG + bytes([0]))  # two came after it
    assert there() == {stored[0].key}
    later = time.monotonic() + _pictures.KNOWN_SECONDS + 1
    environment.setattr(time, "monotonic", lambda: later)
    pictures.put(JPEG + bytes([2]))
    assert there() == {stored[0].key, stored[2].key}


class Refusing(BaseHTTPRequestHandler):
    """An S3 that refuses all, with the status and code of the bucket's name: `403-access-denied`."""

    protocol_version = "HTTP/1.1"  # which has `Expect: 100-continue`

    def do_PUT(self) -> None:
        status, *code = self.path.split("/")[1].split("-")
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = f"<Error><Code>{''.join(word.title() for word in code)}</Code><Message>no</Message></Error>".encode()
        self.send_response(int(status))
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def refusing_server() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Refusing)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    ("where", "bucket", "sentence"),
    [
        ("moto", "no-such-bucket", "has no bucket no-such-bucket"),
        ("refusing", "403-access-denied", "does not let us write to the bucket 403-access-denied (AccessDenied)"),
        ("refusing", "403-signature-does-not-match", "check the credentials"),
        ("refusing", "400-invalid-argument", "did not take a picture (InvalidArgument)"),
        ("nobody", BUCKET, "No S3 at http://127.0.0.1:1"),
        ("no credentials", BUCKET, "boto3 finds no credentials"),
        ("no profile", BUCKET, "boto3 finds no credentials"),
    ],
)
def test_a_s3_that_takes_no_pictures_is_said_with_exit_code_1(
    where: str, bucket: str, sentence: str, moto_server: str, refusing_server: str, environment: pytest.MonkeyPatch,
    tmp_path: Path, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    others = {"refusing": refusing_server, "nobody": "http://127.0.0.1:1", "no credentials": "https://s3.invalid"}
    address = others.get(where, moto_server)
    environment.setenv("CROWDPULSE_S3_ENDPOINT", address)
    environment.setenv("CROWDPULSE_S3_BUCKET", bucket)
    if where == "no credentials":
        environment.delenv("AWS_ACCESS_KEY_ID")
        environment.delenv("AWS_SECRET_ACCESS_KEY")
    if where == "no profile":
        environment.setenv("AWS_PROFILE", "of-nobody")
    if where == "nobody":
        environment.setattr("botocore.retries.standard.time.sleep", lambda seconds: None, raising=False)
    assert main(["--user", "demo_sunny_sue", "--output", str(tmp_path / "told.jsonl")]) == 1

    said = capsys.readouterr().err
    assert sentence in said
    assert said.count("\n") == 1
    assert "hush" not in said


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (JPEG, "jpg"),
        (b"\x89PNG\r\n\x1a\n..", "png"),
        (b"RIFF\x00\x00\x00\x00WEBPVP8 ", "webp"),
        (b"RIFF\x00\x00\x00\x00WAVE", None),
        (b"<html>", None),
        (b"", None),
    ],
)
def test_a_picture_is_known_by_its_first_bytes(content: bytes, expected: str | None) -> None:
    if expected:
        assert suffix(content) == expected
    else:
        with pytest.raises(UnknownFormat):
            suffix(content)


# Recorded: instaloader's own files


def stored_profile(folder: Path, name: str, **fields: object) -> None:
    node = {"id": "7", "username": name, "biography": "b", "external_url": "", "is_private": False, "is_verified": True,
            "edge_followed_by": {"count": 5}, "edge_follow": {"count": 6}, "media_count": 3}  # fmt: skip
    context = instaloader.InstaloaderContext(quiet=True)
    instaloader.save_structure_to_file(instaloader.Profile(context, node | fields), str(folder / f"{name}_7.json.xz"))


def stored_post(file: Path, owner: str, code: str, day: int, caption: str | None = "hi", **fields: object) -> None:
    node = {"__typename": "GraphImage", "id": "1", "shortcode": code, "is_video": False,
            "taken_at_timestamp": 1_760_000_000 + day * 86_400, "display_url": "https://example.test/p.jpg",
            "edge_media_to_caption": {"edges": [] if caption is None else [{"node": {"text": caption}}]},
            "edge_media_preview_like": {"count": 12}, "edge_media_to_comment": {"count": 4},
            "owner": {"id": "7", "username": owner}}  # fmt: skip
    context = instaloader.InstaloaderContext(quiet=True)
    instaloader.save_structure_to_file(instaloader.Post(context, node | fields), str(file))


def test_recorded_reads_instaloaders_own_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "recorded" / "anna"
    folder.mkdir(parents=True)
    stored_profile(folder, "Anna", biography="cafe\u0301")
    stored_profile(folder, "pia", is_private=True)
    stored_profile(folder, "ben", edge_followed_by={"count": None}, edge_follow={"count": 2**63}, biography="\ud83d")
    stored_post(folder / "one.json.xz", "anna", "CODE1", 1, "cafe\u0301 #Cafe\u0301 @Ben")
    (folder / "one.jpg").write_bytes(JPEG + b"1")
    sidecar = [{"node": {"is_video": video, "display_url": "x", "video_url": "y"}} for video in (False, True)]
    stored_post(folder / "two.json", "anna", "CODE2", 2, None, __typename="GraphSidecar",
                edge_sidecar_to_children={"edges": sidecar}, edge_media_preview_like={"count": -1})  # fmt: skip
    (folder / "two_1.jpg").write_bytes(JPEG + b"1")  # as in the first post
    (folder / "two_2.jpg").write_bytes(JPEG + b"2")
    (folder / "two_2.mp4").write_bytes(b"a video")
    stored_post(folder / "three.json", "ben", "CODE3", 3, "\ud83d half a smile")
    (folder / "three.jpg").write_bytes(b"<html>not found")
    stored_post(folder / "secret.json", "pia", "CODE4", 1)
    found = told(tmp_path, "--source", "recorded", str(tmp_path / "recorded"))
    said = capsys.readouterr().err

    assert without(found["user_basic_info"][0], "taken_at") == {
        "username": "anna", "status": "ok", "number_of_posts": 3, "followers_count": 5, "following_count": 6,
        "bio": "caf\u00e9", "external_url": None, "is_private": False, "is_verified": True,
    }  # fmt: skip
    assert [(each["username"], each["status"], each["followers_count"]) for each in found["user_basic_info"]] == [
        ("anna", "ok", 5), ("ben", "ok", None), ("pia", "private", 5),
    ]  # fmt: skip
    assert (found["user_basic_info"][1]["bio"], found["user_basic_info"][1]["following_count"]) == ("\ufffd", None)
    assert without(found["user_posts_description"][0], "taken_at") == {
        "username": "anna", "post_id": "CODE1", "caption": "caf\u00e9 #Caf\u00e9 @Ben", "hashtags": ["caf\u00e9"],
        "mentions": ["ben"], "likes": 12, "comments": 4, "timestamp": "2025-10-10T08:53:20Z",
    }  # fmt: skip
    captions = [(each["post_id"], each["caption"], each["likes"]) for each in found["user_posts_description"]]
    assert captions[1:] == [("CODE2", None, None), ("CODE3", "\ufffd half a smile", 12)]
    images = [(each["post_id"], each["media_type"]) for each in found["user_post_images"]]
    assert images == [("CODE1", "image"), ("CODE2", "image"), ("CODE2", "video")]
    assert len({each["content_hash"] for each in found["user_post_images"]}) == 2
    assert "The profile of pia is private: 1 posts are left out." in said
    assert "A picture of post CODE3 of ben is left out: it is neither a JPEG" in said

    some = told(tmp_path, "--source", "recorded", str(tmp_path / "recorded"), "--user", "@BEN", "nobody")
    assert [each["username"] for each in some["user_basic_info"]] == ["ben"]
    assert [each["post_id"] for each in some["user_posts_description"]] == ["CODE3"]
    assert "There is no profile of nobody" in capsys.readouterr().err

    rounds = told(tmp_path, "--source", "recorded", str(folder), "--user", "ben", "--every", "0.1", "--limit", "5")
    assert [len(rounds["user_basic_info"]), len(rounds["user_posts_description"])] == [3, 2]


BROKEN = {
    "empty.json": b"",
    "text.json": b"no json",
    "list.json": b"[1, 2]",
    "null.json": b"null",
    "plain.json": b"{}",
    "deep.json": b"[" * 100_000,
    "bytes.json": b"\xff\xfe\x00",
    "broken.json.xz": b"\xfd7zXZ\x00 broken",
    "old.json": b'{"shortcode": "CODE"}',
    "story.json": b'{"node": {"id": "1"}, "instaloader": {"node_type": "StoryItem"}}',
    "unknown.json": b'{"node": {}, "instaloader": {"node_type": "Reel"}}',
    "no-node.json": b'{"node": null, "instaloader": {"node_type": "Post"}}',
    "no-name.json": b'{"node": {"id": "1"}, "instaloader": {"node_type": "Profile"}}',
    "no-time.json": b'{"node": {"shortcode": "C", "owner": {"username": "a"}}, "instaloader": {"node_type": "Post"}}',
    "no-owner.json": b'{"node": {"shortcode": "C", "date": 1, "owner": {"id": "1"}},'
    b' "instaloader": {"node_type": "Post"}}',
    "name.json": b'{"node": {"id": "1", "username": "../../x"}, "instaloader": {"node_type": "Profile"}}',
    "time.json": b'{"node": {"shortcode": "C", "date": 1e18, "is_video": false, "__typename": "GraphImage",'
    b' "owner": {"username": "a"}}, "instaloader": {"node_type": "Post"}}',
    "caption.json": b'{"node": {"shortcode": "C", "date": 1, "is_video": false, "__typename": "GraphImage",'
    b' "caption": 5, "owner": {"username": "a"}}, "instaloader": {"node_type": "Post"}}',
}


def test_files_that_are_none_of_instaloaders_are_said_counted_and_passed_over(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "recorded"
    folder.mkdir()
    for name, content in BROKEN.items():
        (folder / name).write_bytes(content)
    (folder / "folder.json").mkdir()
    stored_profile(folder, "anna")
    found = told(tmp_path, "--source", "recorded", str(folder))
    said = capsys.readouterr().err

    assert [each["username"] for each in found["user_basic_info"]] == ["anna"]
    assert found["user_posts_description"] == []
    assert f"{len(BROKEN)} files were passed over" in said
    assert said.count("is passed over") == 5
    assert "Traceback" not in said


def test_the_fixtures_of_the_data_folder_are_read(tmp_path: Path) -> None:
    folder = data.folder() / "instagram-fixtures"
    if not folder.is_dir():
        pytest.skip(f"{folder} is not there")
    found = told(tmp_path, "--source", "recorded", str(folder))

    profile, post = found["user_basic_info"][0], found["user_posts_description"][0]
    assert (profile["followers_count"], profile["number_of_posts"]) == (1000, 42)
    assert post["hashtags"] == ["kafka"]
    assert post["caption"].endswith("caf\u00e9")
    assert found["user_post_images"] == []  # there is none beside it


# Kafka


@pytest.mark.stack
@pytest.mark.timeout(120)
def test_a_person_is_in_one_partition_of_each_topic(
    prefix: str, moto_server: str, environment: pytest.MonkeyPatch
) -> None:
    environment.setenv("CROWDPULSE_S3_ENDPOINT", moto_server)
    environment.setenv("CROWDPULSE_S3_BUCKET", "of-the-kafka-test")
    settings.cache_clear()
    boto3.client("s3", endpoint_url=moto_server, region_name="us-east-1").create_bucket(Bucket="of-the-kafka-test")
    began = time.time()
    assert main(["--until", "2026-05-01"]) == 0

    for topic, people in (("user_basic_info", 5), ("user_posts_description", 4), ("user_post_images", 3)):
        held = [[(key, json.loads(value)) for key, value in part] for part in partitions(f"{prefix}{topic}")]
        assert all(key == value["username"].encode() for part in held for key, value in part)
        names = [{key for key, _ in part} for part in held]
        assert sum(map(len, names)) == len(set().union(*names)) == people
    assert time.time() - began < 60


def test_a_file_that_would_fill_the_memory_is_passed_over(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stored_profile(tmp_path, "anna")
    packing = lzma.LZMACompressor()
    zeros = b"0" * (1024 * 1024)
    bomb = b"".join([*(packing.compress(zeros) for _ in range(65)), packing.flush()])
    assert len(bomb) < 100_000
    (tmp_path / "bomb_8.json.xz").write_bytes(bomb)

    assert main(["--source", "recorded", str(tmp_path), "--output", str(tmp_path / "out.jsonl"), "--no-pictures"]) == 0

    assert "unpacks to more than 67,108,864 bytes" in capsys.readouterr().err
    assert b'"anna"' in (tmp_path / "out.jsonl").read_bytes()
