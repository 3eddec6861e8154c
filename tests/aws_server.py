"""A server that speaks as much of Comprehend and Rekognition as Crowdpulse uses, and fails as a script says.

    python -m tests.aws_server --port 9600 --script script.json
    curl -X PUT --data '[{"action": "throttle", "times": 3}]' http://127.0.0.1:9600/script
    curl http://127.0.0.1:9600/counts

It speaks AWS JSON 1.1 (X-Amz-Target) and Smithy's RPC v2 CBOR, of which botocore chooses the latter for Comprehend. A
request must be signed, by whom is not asked. Requests and answers are checked against botocore's service model, and
requests against Comprehend's quotas. Answers follow from the text by word lists, from an image by its hash.

A script is a list of rules, tried in order for each request; the first that fits and does more than delay decides:

    action      throttle (400 ThrottlingException), deny (400 AccessDeniedException), error (`status`, default 500),
                drop (close the connection without an answer), delay (`seconds`, then go on), refuse (400 with
                `code`), items (`code`, default InternalServerException, in the ErrorList)
    operation   only this one, as in BatchDetectSentiment; default: any
    contains    only requests with a text that has this; of `items`: only these texts fail
    times       so often at most; default: always
    every       only each such one of the requests that fit

`GET /counts`: {"requests": {operation: n}, "received": {operation: {content: n}}, "answered": {…}}. A content is the
sha256 of a text, of an image's bytes, or of `bucket/key`. Received counts what arrived and was not turned away (by
throttle, deny, error or refuse): what AWS would charge.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import signal
import threading
from base64 import b64decode
from collections import Counter, defaultdict
from collections.abc import Sequence
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import botocore.session
from botocore.model import OperationModel
from botocore.parsers import RpcV2CBORParser
from botocore.serialize import RpcV2CBORSerializer
from botocore.validate import ParamValidator

from tests.local_server import LocalServer, QuietHandler

Json = dict[str, Any]

OPERATIONS = {
    "BatchDetectSentiment": "comprehend",
    "BatchDetectKeyPhrases": "comprehend",
    "BatchDetectDominantLanguage": "comprehend",
    "DetectToxicContent": "comprehend",
    "DetectModerationLabels": "rekognition",
}
ACTIONS = {"throttle", "deny", "error", "drop", "delay", "items", "refuse"}
KEYS = {"action", "operation", "contains", "times", "every", "status", "seconds", "code"}

GOOD = frozenset(["love", "lovely", "happy", "great", "wonderful", "best", "thanks", "beautiful"])
BAD = frozenset(["hate", "awful", "terrible", "sad", "worst", "angry", "horrible"])
TOXIC = {
    "idiot": "INSULT",
    "stupid": "INSULT",
    "damn": "PROFANITY",
    "kill": "VIOLENCE_OR_THREAT",
    "scum": "HATE_SPEECH",
}
TOXIC_NAMES = ("PROFANITY", "HATE_SPEECH", "INSULT", "GRAPHIC", "HARASSMENT_OR_ABUSE", "SEXUAL", "VIOLENCE_OR_THREAT")
LANGUAGES = {
    "de": frozenset(["der", "die", "das", "und", "ist", "nicht", "ein"]),
    "es": frozenset(["el", "la", "los", "que", "es", "muy", "una"]),
    "fi": frozenset(["ja", "on", "se", "ei", "hyvä"]),
}
# Of Rekognition's taxonomy (version 7), from the label up; every other image has none.
LABELS = (
    (("Smoking", 3), ("Drugs & Tobacco Paraphernalia & Use", 2), ("Drugs & Tobacco", 1)),
    (("Drinking", 2), ("Alcohol", 1)),
    (("Weapons", 2), ("Violence", 1)),
    (("Gambling", 1),),
)


class AwsError(Exception):
    """An answer that is not 200."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code, self.status = code, status


class Service:
    """What is counted, and how requests are answered; `script` may be set at any time, `counts` read."""

    def __init__(self, *script: Json) -> None:
        session = botocore.session.get_session()
        self._models = {name: session.get_service_model(name) for name in set(OPERATIONS.values())}
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._requests: Counter[str] = Counter()
        self._received: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self._answered: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self.problems: list[str] = []  # answers of ours that the service model does not know
        self.script = list(script)

    @property
    def script(self) -> list[Json]:
        return self._script

    @script.setter
    def script(self, rules: list[Json]) -> None:
        for rule in rules:
            if not isinstance(rule, dict) or rule.get("action") not in ACTIONS or rule.keys() - KEYS:
                raise ValueError(
                    f"No rule: {rule!r}. It has an action of {sorted(ACTIONS)} and keys of {sorted(KEYS)}."
                )
        with self._lock:
            self._script = rules
            self._met = [0] * len(rules)  # how often a rule fitted
            self._used = [0] * len(rules)

    @property
    def counts(self) -> Json:
        with self._lock:
            return {
                "requests": dict(self._requests),
                "received": {name: dict(count) for name, count in self._received.items()},
                "answered": {name: dict(count) for name, count in self._answered.items()},
            }

    def model(self, name: str) -> OperationModel:
        if name not in OPERATIONS:
            raise AwsError("UnknownOperationException", f"This server has no operation {name!r}.")
        return self._models[OPERATIONS[name]].operation_model(name)

    def answer(self, model: OperationModel, asked: Json) -> Json:
        """The answer to a request; raises AwsError where there is none."""
        name = model.name
        if name == "DetectModerationLabels" and isinstance(asked.get("Image", {}).get("Bytes"), str):
            asked["Image"]["Bytes"] = b64decode(asked["Image"]["Bytes"])
        report = ParamValidator().validate(asked, model.input_shape)
        if report.has_errors():
            raise AwsError("InvalidRequestException", report.generate_report())
        texts = _texts(asked)
        contents = [hashlib.sha256(content).hexdigest() for content in _contents(asked, texts)]
        with self._lock:
            self._requests[name] += 1
        rules = self._rules(name, texts)
        turned_away = [rule for rule in rules if rule["action"] in ("throttle", "deny", "error", "refuse")]
        if not turned_away:
            _check_quotas(name, asked, texts)
            with self._lock:
                self._received[name].update(contents)
        failing: dict[int, str] = {}
        for rule in rules:
            match rule["action"]:
                case "delay":
                    self._closing.wait(rule.get("seconds", 1))
                case "throttle":
                    raise AwsError("ThrottlingException", "Rate exceeded")
                case "deny":
                    raise AwsError("AccessDeniedException", "User: arn:aws:iam::123456789012:user/x is not authorized")
                case "error":
                    raise AwsError("InternalServerException", "An internal server error", rule.get("status", 500))
                case "refuse":
                    raise AwsError(rule.get("code", "InvalidRequestException"), "The request is invalid.")
                case "drop":
                    raise AwsError("drop", "")
                case "items":
                    wanted = rule.get("contains", "")
                    code = rule.get("code", "InternalServerException")
                    failing |= {number: code for number, text in enumerate(texts) if wanted in text}
        made = _moderation(asked) if name == "DetectModerationLabels" else _judged(name, texts, failing)
        report = ParamValidator().validate(made, model.output_shape)
        if report.has_errors():
            self.problems.append(report.generate_report())
            raise AwsError("InternalServerException", report.generate_report(), 500)
        with self._lock:
            self._answered[name].update(content for number, content in enumerate(contents) if number not in failing)
        return made

    def _rules(self, name: str, texts: Sequence[str]) -> list[Json]:
        """The rules that this request meets: delays up to the first that decides."""
        met = []
        with self._lock:
            for number, rule in enumerate(self._script):
                if rule.get("operation", name) != name:
                    continue
                if "contains" in rule and not any(rule["contains"] in text for text in texts):
                    continue
                self._met[number] += 1
                if self._met[number] % rule.get("every", 1) or self._used[number] >= rule.get("times", 1 << 60):
                    continue
                self._used[number] += 1
                met.append(rule)
                if rule["action"] not in ("delay", "items"):
                    break
        return met


def handler(service: Service) -> type[QuietHandler]:
    """What answers HTTP requests for `service`."""

    class Handler(QuietHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            if self.path == "/counts":
                self._answer(200, service.counts)
            else:
                self._answer(404, {"message": "There is GET /counts, PUT /script and POST as AWS has it."})

        def do_PUT(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            try:
                service.script = json.loads(body)
            except (ValueError, TypeError) as error:
                self._answer(400, {"message": str(error)})
            else:
                self._answer(200, {"rules": len(service.script)})

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            cbor = self.headers.get("smithy-protocol") == "rpc-v2-cbor"
            name = (self.path if cbor else self.headers.get("X-Amz-Target", "")).replace("/", ".").rpartition(".")[2]
            try:
                if "Authorization" not in self.headers:
                    raise AwsError("MissingAuthenticationTokenException", "The request is not signed.", 403)
                model = service.model(name)
                parser = RpcV2CBORParser()
                asked = (
                    parser.parse_data_item(parser.get_peekable_stream_from_bytes(body)) if cbor else json.loads(body)
                )
                answer = service.answer(model, asked)
            except AwsError as error:
                if error.code == "drop":
                    self.close_connection = True
                    return
                self._send(error.status, {"__type": error.code, "message": str(error)}, None, cbor)
            else:
                self._send(200, answer, model, cbor)

        def _send(self, status: int, answer: Json, model: OperationModel | None, cbor: bool) -> None:
            if not cbor:
                self._answer(status, answer, "application/x-amz-json-1.1")
                return
            content = bytearray()
            if model is None:  # an error: two strings
                content += b"\xa2"
                for word in (word for pair in answer.items() for word in pair):
                    text = word.encode()
                    content += b"\x79" + len(text).to_bytes(2, "big") + text
            else:
                RpcV2CBORSerializer()._serialize_data_item(content, answer, model.output_shape)
            self._write(status, bytes(content), "application/cbor", {"smithy-protocol": "rpc-v2-cbor"})

        def _answer(self, status: int, answer: Json, kind: str = "application/json") -> None:
            self._write(status, json.dumps(answer).encode(), kind, {})

        def _write(self, status: int, content: bytes, kind: str, headers: dict[str, str]) -> None:
            try:
                self.send_response(status)
                for name, value in (headers | {"Content-Type": kind}).items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)
            except OSError:  # who asked has gone
                self.close_connection = True

    return Handler


class AwsServer(Service, LocalServer):
    """The service on a port of this machine, at `address`, inside of `with`."""

    def __init__(self, *script: Json) -> None:
        Service.__init__(self, *script)
        LocalServer.__init__(self, handler(self))


def _texts(asked: Json) -> list[str]:
    return asked.get("TextList") or [segment["Text"] for segment in asked.get("TextSegments", [])]


def _contents(asked: Json, texts: Sequence[str]) -> list[bytes]:
    """The bytes of each text, or of the one image."""
    if "Image" not in asked:
        return [text.encode() for text in texts]
    image = asked["Image"]
    if "Bytes" in image:
        return [image["Bytes"]]
    return [f"{image['S3Object']['Bucket']}/{image['S3Object']['Name']}".encode()]


def _check_quotas(name: str, asked: Json, texts: Sequence[str]) -> None:
    toxic = name == "DetectToxicContent"
    if len(texts) > (10 if toxic else 25):
        raise AwsError("InvalidRequestException" if toxic else "BatchSizeLimitExceededException", "Too many texts.")
    if any(len(text.encode()) > (1024 if toxic else 5120) for text in texts):
        raise AwsError("TextSizeLimitExceededException", "Input text size exceeds limit.")
    if toxic and asked["LanguageCode"] != "en":
        raise AwsError("UnsupportedLanguageException", "Only English is supported.")


def _words(text: str) -> list[str]:
    return re.findall(r"[^\W\d_]+", text.lower())


def _judged(name: str, texts: Sequence[str], failing: dict[int, str]) -> Json:
    if name == "DetectToxicContent":
        return {"ResultList": [_toxicity(text) for text in texts]}
    judge = {
        "BatchDetectSentiment": _sentiment,
        "BatchDetectKeyPhrases": _key_phrases,
        "BatchDetectDominantLanguage": _languages,
    }[name]
    return {
        "ResultList": [{"Index": number} | judge(text) for number, text in enumerate(texts) if number not in failing],
        "ErrorList": [
            {"Index": number, "ErrorCode": code, "ErrorMessage": "As the script says."}
            for number, code in sorted(failing.items())
        ],
    }


def _sentiment(text: str) -> Json:
    good, bad = (len([word for word in _words(text) if word in words]) for words in (GOOD, BAD))
    weights = {"Positive": 9.0 * good, "Negative": 9.0 * bad, "Neutral": 1.0, "Mixed": 20.0 * min(good, bad)}
    scores = {name: weight / sum(weights.values()) for name, weight in weights.items()}
    return {"Sentiment": max(scores, key=lambda name: scores[name]).upper(), "SentimentScore": scores}


def _key_phrases(text: str) -> Json:
    return {
        "KeyPhrases": [
            {"Text": word[0], "Score": 1 - 1 / len(word[0]), "BeginOffset": word.start(), "EndOffset": word.end()}
            for word in re.finditer(r"[^\W\d_]{4,}", text)
        ]
    }


def _languages(text: str) -> Json:
    words = _words(text)
    best = max(LANGUAGES, key=lambda code: sum(word in LANGUAGES[code] for word in words))
    found = best if sum(word in LANGUAGES[best] for word in words) >= 2 else "en"
    return {"Languages": [{"LanguageCode": found, "Score": 0.9}, {"LanguageCode": "tlh", "Score": 0.1}]}


def _toxicity(text: str) -> Json:
    found = {TOXIC[word] for word in _words(text) if word in TOXIC}
    labels = [{"Name": name, "Score": 0.9 if name in found else 0.02} for name in TOXIC_NAMES]
    return {"Labels": labels, "Toxicity": 0.9 if found else 0.03}


def _moderation(asked: Json) -> Json:
    (content,) = _contents(asked, [])
    digest = hashlib.sha256(content).digest()
    chain = LABELS[digest[1] % len(LABELS)] if digest[0] % 2 else ()
    parents = [name for name, _ in chain[1:]] + [""]
    return {
        "ModerationLabels": [
            {"Name": name, "ParentName": parent, "TaxonomyLevel": level, "Confidence": 60.0 + digest[2] % 40}
            for (name, level), parent in zip(chain, parents, strict=bool(chain))
        ],
        "ModerationModelVersion": "7.0",
        "ContentTypes": [{"Name": "Illustrated", "Confidence": 90.0}] if digest[3] % 4 == 0 else [],
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description="Comprehend and Rekognition, as far as Crowdpulse uses them, for tests."
    )
    parser.add_argument("--port", type=int, required=True, help="port on 127.0.0.1")
    parser.add_argument("--script", type=Path, help="JSON file with the rules; PUT /script changes them")
    arguments = parser.parse_args()
    script = json.loads(arguments.script.read_text(encoding="utf-8")) if arguments.script else []
    with ThreadingHTTPServer(("127.0.0.1", arguments.port), handler(Service(*script))) as server:
        signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
        print(f"Comprehend and Rekognition at http://127.0.0.1:{arguments.port}; GET /counts, PUT /script.", flush=True)
        server.serve_forever(poll_interval=0.2)


if __name__ == "__main__":
    main()
