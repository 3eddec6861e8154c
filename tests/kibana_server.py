"""A server that speaks as much of Kibana's HTTP interface as kibana/load.py uses: status, spaces, import, find.

    python -m tests.kibana_server --host 0.0.0.0 --port 5601      in Kibana's place, where it cannot be had

It follows what Kibana's documentation and its answers say: https://www.elastic.co/docs/api/doc/kibana. As there, only
references to data views and saved searches are checked; an import with a conflict or a missing reference changes
nothing; and an id belongs to one object of all spaces, so that a second space gets a new id, and finds it again by
`originId`.
"""

from __future__ import annotations

import argparse
import base64
import json
import signal
import threading
import uuid
from collections.abc import Collection, Mapping
from email import message_from_bytes
from email.policy import HTTP
from http.server import ThreadingHTTPServer
from pathlib import PurePath
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.local_server import LocalServer, QuietHandler

IMPORTABLE = frozenset({"dashboard", "index-pattern", "search", "visualization", "lens", "links", "tag"})
CHECKED_REFERENCES = frozenset({"index-pattern", "search"})
RESOLVABLE = frozenset({"conflict", "ambiguous_conflict", "missing_references"})
MAX_IMPORT_BYTES = 26_214_400

Json = dict[str, Any]
Key = tuple[str, str]


class HttpError(Exception):
    """An answer that is not 200."""

    def __init__(self, status: int, error: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.body = {"statusCode": status, "error": error, "message": message}


class Kibana:
    """What a Kibana holds, in memory, and how it answers.

    Args:
        unavailable_answers: so many questions for the status are answered 503, the first in plain text.
        level: what the status says afterwards.
        spaces: the spaces besides the default one.
        users: passwords by user; with them or `api_keys`, requests need a login.
        api_keys: who may come without a user.
        readers: users that may not write.
        max_bytes: a longer import is answered 413.
        refused: objects that cannot be stored, by id, with the reason.
        lost: ids of objects that an import says nothing of.
    """

    def __init__(
        self,
        *,
        unavailable_answers: int = 0,
        level: str = "available",
        spaces: Collection[str] = (),
        users: Mapping[str, str] | None = None,
        api_keys: Collection[str] = (),
        readers: Collection[str] = (),
        max_bytes: int = MAX_IMPORT_BYTES,
        refused: Mapping[str, str] | None = None,
        lost: Collection[str] = (),
    ) -> None:
        self.objects: dict[str, dict[Key, Json]] = {space: {} for space in ("default", *spaces)}
        self.requests: list[str] = []
        self.level = level
        self.max_bytes = max_bytes
        self._unavailable_answers = unavailable_answers
        self._users = dict(users or {})
        self._api_keys = set(api_keys)
        self._readers = set(readers)
        self._refused = dict(refused or {})
        self._lost = set(lost)
        self._status_answers = 0
        self._writes = 0
        self._lock = threading.Lock()

    def login(self, authorization: str) -> str | None:
        """The user who asks; None for one that is not known. Without logins everybody is `anonymous`."""
        if not self._users and not self._api_keys:
            return "anonymous"
        scheme, _, given = authorization.partition(" ")
        if scheme == "ApiKey":
            return "api key" if given in self._api_keys else None
        if scheme == "Basic":
            user, _, password = base64.b64decode(given).decode().partition(":")
            return user if self._users.get(user) == password else None
        return None

    def status(self, known: bool) -> tuple[int, Json | str]:
        """The answer of /api/status: to one who is not known, only the level."""
        with self._lock:
            self._status_answers += 1
            number = self._status_answers
        if number == 1 and self._unavailable_answers:
            return 503, "Kibana server is not ready yet"
        level = "unavailable" if number <= self._unavailable_answers else self.level
        status: Json = {"overall": {"level": level}}
        code = 503 if level in ("unavailable", "critical") else 200
        if not known:
            return code, {"status": status}
        return code, {"name": "kibana", "version": {"number": "9.5.3"}, "status": status}

    def find(self, space: str, types: Collection[str]) -> Json:
        """The objects of these types in a space."""
        with self._lock:
            found = [saved for (kind, _), saved in sorted(self.objects.get(space, {}).items()) if kind in types]
        return {"page": 1, "per_page": len(found), "total": len(found), "saved_objects": found}

    def import_objects(self, space: str, user: str, lines: str, overwrite: bool) -> Json:
        """The answer to an import; raises HttpError for one that is refused as a whole."""
        try:
            objects: list[Json] = [json.loads(line) for line in lines.split("\n") if line.strip()]
        except ValueError as error:
            raise HttpError(400, "Bad Request", str(error)) from error
        keys = [_key(saved) for saved in objects]
        twice = sorted({f"{kind}:{identifier}" for kind, identifier in keys if keys.count((kind, identifier)) > 1})
        if twice:
            raise HttpError(400, "Bad Request", f"Non-unique import objects detected: [{','.join(twice)}]")
        if user in self._readers:
            kinds = ",".join(sorted({kind for kind, _ in keys}))
            raise HttpError(403, "Forbidden", f"Unable to bulk_create {kinds}")
        with self._lock:
            return self._import(self.objects.setdefault(space, {}), objects, overwrite)

    def _import(self, here: dict[Key, Json], objects: list[Json], overwrite: bool) -> Json:
        errors = [_failure(saved, {"type": "unsupported_type"}) for saved in objects if saved["type"] not in IMPORTABLE]
        objects = [saved for saved in objects if saved["type"] in IMPORTABLE]
        known = set(here) | {_key(saved) for saved in objects}
        elsewhere = {key for there in self.objects.values() if there is not here for key in there}
        by_origin = {(kind, saved["originId"]): saved["id"] for (kind, _), saved in here.items() if "originId" in saved}
        new_ids: dict[Key, str] = {}
        overwritten = set()
        for saved in objects:
            key = _key(saved)
            referred = dict.fromkeys(map(_key, saved.get("references", [])))
            missing = [to for to in referred if to[0] in CHECKED_REFERENCES and to not in known]
            if missing:
                references = [{"type": kind, "id": identifier} for kind, identifier in missing]
                errors.append(_failure(saved, {"type": "missing_references", "references": references}))
            if key in elsewhere and key not in here:
                new_ids[key] = by_origin.get(key) or str(uuid.uuid4())
            if key in here or key in by_origin:
                if overwrite:
                    overwritten.add(key)
                else:
                    target = {"destinationId": new_ids[key]} if key in new_ids else {}
                    errors.append(_failure(saved, {"type": "conflict", **target}))
        failed = {_key(error) for error in errors}
        stored = [saved for saved in objects if _key(saved) not in failed]
        if not any(error["error"]["type"] in RESOLVABLE for error in errors):
            for saved in [saved for saved in stored if saved["id"] in self._refused]:
                reason = {"type": "unknown", "statusCode": 400, "error": "Bad Request"}
                errors.append(_failure(saved, {**reason, "message": self._refused[saved["id"]]}))
                stored.remove(saved)
            for saved in stored:
                self._store(here, saved, new_ids)
        results = [
            {
                "type": saved["type"],
                "id": saved["id"],
                "meta": {"title": saved["attributes"].get("title")},
                "managed": False,
                **({"overwrite": True} if _key(saved) in overwritten else {}),
                **({"destinationId": new_ids[_key(saved)]} if _key(saved) in new_ids else {}),
            }
            for saved in stored
            if saved["id"] not in self._lost
        ]
        return {
            "successCount": len(stored),
            "success": not errors,
            "warnings": [],
            **({"successResults": results} if results else {}),
            **({"errors": errors} if errors else {}),
        }

    def _store(self, here: dict[Key, Json], saved: Json, new_ids: Mapping[Key, str]) -> None:
        self._writes += 1
        kind, identifier = _key(saved)
        kept = {**saved, "version": f"{self._writes}"}
        kept["references"] = [{**to, "id": new_ids.get(_key(to), to["id"])} for to in saved.get("references", [])]
        if (kind, identifier) in new_ids:
            kept |= {"id": new_ids[kind, identifier], "originId": identifier}
        here[kind, kept["id"]] = kept


class KibanaServer(LocalServer):
    """A Kibana on a port of this machine, inside of `with`."""

    def __init__(self, kibana: Kibana | None = None) -> None:
        self.kibana = kibana or Kibana()
        super().__init__(handler(self.kibana))


def handler(kibana: Kibana) -> type[QuietHandler]:
    """What answers HTTP requests for `kibana`."""

    class Handler(QuietHandler):
        def do_GET(self) -> None:
            self._answer(b"")

        def do_POST(self) -> None:
            self._answer(self.rfile.read(int(self.headers.get("Content-Length", 0))))

        def _answer(self, body: bytes) -> None:
            kibana.requests.append(f"{self.command} {self.path}")
            try:
                status, answer = self._route(body)
            except HttpError as error:
                status, answer = error.status, error.body
            content = answer.encode() if isinstance(answer, str) else json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "text/plain" if isinstance(answer, str) else "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def _route(self, body: bytes) -> tuple[int, Json | str]:
            address = urlsplit(self.path)
            query = parse_qs(address.query)
            parts = address.path.strip("/").split("/")
            space = "default"
            if parts[0] == "s":
                space, parts = parts[1], parts[2:]
            user = kibana.login(self.headers.get("Authorization", ""))
            if parts == ["api", "status"]:
                return kibana.status(known=user is not None)
            if user is None:
                raise HttpError(401, "Unauthorized", "Unauthorized")
            if self.command == "POST" and "kbn-xsrf" not in self.headers:
                raise HttpError(400, "Bad Request", "Request must contain a kbn-xsrf header.")
            match [self.command, *parts]:
                case ["GET", "api", "spaces", "space", name]:
                    if name not in kibana.objects:
                        raise HttpError(404, "Not Found", "Not Found")
                    return 200, {"id": name, "name": name, "disabledFeatures": []}
                case ["GET", "api", "saved_objects", "_find"]:
                    return 200, kibana.find(space, query.get("type", []))
                case ["POST", "api", "saved_objects", "_import"]:
                    if len(body) > kibana.max_bytes:
                        message = f"Payload content length greater than maximum allowed: {kibana.max_bytes}"
                        raise HttpError(413, "Request Entity Too Large", message)
                    overwrite = query.get("overwrite", ["false"])[-1]
                    if overwrite not in ("true", "false"):
                        message = "[request query.overwrite]: expected value of type [boolean] but got [string]"
                        raise HttpError(400, "Bad Request", message)
                    lines = _file(self.headers.get("Content-Type", ""), body)
                    return 200, kibana.import_objects(space, user, lines, overwrite == "true")
                case _:
                    raise HttpError(404, "Not Found", "Not Found")

    return Handler


def _file(content_type: str, body: bytes) -> str:
    """The text of the field `file` of a form. Raises HttpError where there is none, or a file of another kind."""
    if not content_type.startswith("multipart/form-data"):
        raise HttpError(415, "Unsupported Media Type", "Unsupported Media Type")
    form = message_from_bytes(f"Content-Type: {content_type}\r\n\r\n".encode() + body, policy=HTTP)
    for part in form.iter_parts():
        if part.get_param("name", header="content-disposition") == "file":
            extension = PurePath(part.get_filename() or "").suffix.lower()
            if extension != ".ndjson":
                raise HttpError(400, "Bad Request", f"Invalid file extension {extension}")
            content = part.get_payload(decode=True)
            return content.decode() if isinstance(content, bytes) else ""
    raise HttpError(400, "Bad Request", "[request body.file]: expected value of type [Stream] but got [undefined]")


def _key(saved: Mapping[str, Any]) -> Key:
    return saved["type"], saved["id"]


def _failure(saved: Json, error: Json) -> Json:
    meta = {"title": saved["attributes"].get("title")}
    return {"type": saved["type"], "id": saved["id"], "meta": meta, "error": error}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.kibana_server", description="A server in Kibana's place.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=5601)
    parser.add_argument("--user", action="append", default=[], metavar="NAME:PASSWORD", help="only these may come in")
    options = parser.parse_args()
    users = dict(user.split(":", 1) for user in options.user)
    with ThreadingHTTPServer(
        (options.host, options.port), handler(Kibana(unavailable_answers=2, users=users))
    ) as server:
        # As the first process of a container it would ignore SIGTERM otherwise.
        signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
        server.serve_forever(poll_interval=0.2)


if __name__ == "__main__":
    main()
