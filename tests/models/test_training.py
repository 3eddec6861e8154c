"""Training from end to end, on small data made here, in the training environment."""

from __future__ import annotations

import json
import os
import random
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("sklearn", reason="scikit-learn is in the training environment: make training-environment")
pytest.importorskip("mlflow", reason="MLflow is in the training environment: make training-environment")

import boto3
from threadpoolctl import threadpool_limits

from models import promote, runtime, train
from models.registry import Registry

GOOD = "lovely kind friendly happy gentle pleasant warm great".split()  # noqa: SIM905
BAD = "nasty stupid horrid ugly filthy rotten awful vile".split()  # noqa: SIM905
OTHER = "day house tree car river table letter song road garden window paper music city".split()  # noqa: SIM905


def offensive(folder: Path, part: str, count: int, seed: int) -> None:
    """Writes a part of a data set in TweetEval's form; a tenth of its labels are wrong."""
    chance = random.Random(seed)
    texts, labels = [], []
    for _ in range(count):
        bad = chance.random() < 0.4
        words = chance.choices(OTHER, k=8) + chance.choices(BAD if bad else GOOD, k=2)
        chance.shuffle(words)
        texts.append(" ".join(words))
        labels.append(str(int(bad != (chance.random() < 0.1))))
    target = folder / "tweeteval/offensive"
    target.mkdir(parents=True, exist_ok=True)
    (target / f"{part}_text.txt").write_text("\n".join(texts) + "\n", encoding="utf-8")
    (target / f"{part}_labels.txt").write_text("\n".join(labels) + "\n", encoding="utf-8")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    offensive(folder, "train", 600, seed=1)
    offensive(folder, "val", 200, seed=2)
    return folder


def registry(folder: Path, artifacts: str | None = None) -> Registry:
    return Registry(
        f"sqlite:///{folder / 'mlflow.db'}", artifacts or (folder / "artifacts").as_uri(), folder / "weights"
    )


def test_a_model_is_trained_judged_registered_and_promoted(data: Path, tmp_path: Path) -> None:
    kept = registry(tmp_path)

    version = train.train("toxicity", data, registry=kept, cards=tmp_path / "cards")

    assert version == "1"
    assert kept.champion("toxicity") is None
    evaluation = kept.challenger("toxicity")
    assert evaluation is not None
    assert evaluation["macro_f1"] > 0.85  # nine tenths of the labels can be known
    assert evaluation["ece"] < 0.15
    assert set(evaluation["robustness"]) == set(evaluation["reference"]["robustness"])
    card = (tmp_path / "cards/toxicity.md").read_text()
    assert f"{evaluation['macro_f1']:.4f}" in card
    for picture in ("confusion", "calibration"):
        assert (tmp_path / f"cards/toxicity-{picture}.svg").stat().st_size < 100_000

    assert promote.main(["toxicity"], kept, tmp_path / "champions") == 0

    model = runtime.load("toxicity", tmp_path / "weights")
    assert model.version == evaluation["version"]
    assert (tmp_path / "champions/toxicity.md").read_text() == card
    assert model.score(["what a stupid vile thing", "a lovely kind day"]).labels == ["toxic", "clean"]
    assert kept.champion("toxicity") == evaluation
    assert kept.challenger("toxicity") is None

    # The same data once more, as on a machine of two cores: the same weights, so no better challenger.
    threadpool_limits(2)
    train.train("toxicity", data, registry=kept, cards=tmp_path / "again")
    challenger = kept.challenger("toxicity")
    assert challenger is not None
    assert challenger["version"] == model.version
    assert promote.main(["toxicity"], kept, tmp_path / "champions") == 1
    assert kept.challenger("toxicity") == challenger
    assert (tmp_path / "again/toxicity-calibration.svg").read_bytes() == (
        tmp_path / "cards/toxicity-calibration.svg"
    ).read_bytes()


def test_the_steps_run_as_a_prefect_flow(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("prefect.testing.utilities")
    from prefect.testing.utilities import prefect_test_harness

    from models import flow

    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    monkeypatch.setenv("CROWDPULSE_MODEL_ARTIFACTS", (tmp_path / "artifacts").as_uri())
    monkeypatch.setattr("models.train.CARDS", tmp_path / "cards")
    with prefect_test_harness(server_startup_timeout=120):
        assert flow.training("toxicity", data, 200) == "1"
    assert registry(tmp_path).challenger("toxicity") is not None


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A bucket of a local S3 (moto, which the other environment has)."""
    python = Path(__file__).parents[2] / ".venv/bin/python"
    if not python.exists():
        pytest.skip("moto is in .venv: make environment")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen(
        [str(python), "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        address = f"http://127.0.0.1:{port}"
        for name, value in {
            "MLFLOW_S3_ENDPOINT_URL": address,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": "us-east-1",
        }.items():
            monkeypatch.setenv(name, value)
        deadline = time.monotonic() + 30
        while True:
            with socket.socket() as client:
                if client.connect_ex(("127.0.0.1", port)) == 0:
                    break
            assert time.monotonic() < deadline, "moto did not start"
            time.sleep(0.2)
        boto3.client("s3", endpoint_url=address).create_bucket(Bucket="models")
        yield "models"
    finally:
        server.terminate()
        server.wait(timeout=20)


def test_the_files_can_lie_on_s3(bucket: str, data: Path, tmp_path: Path) -> None:
    kept = registry(tmp_path, f"s3://{bucket}/crowdpulse")

    train.train("toxicity", data, sample=200, registry=kept, cards=tmp_path / "cards")

    assert kept.challenger("toxicity") is not None
    listed = boto3.client("s3", endpoint_url=os.environ["MLFLOW_S3_ENDPOINT_URL"]).list_objects_v2(Bucket=bucket)
    assert any(entry["Key"].endswith("model/table.npy") for entry in listed["Contents"])
    assert kept.promote("toxicity").startswith("toxicity@")


def test_missing_data_are_told_per_set(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "models.train", "sentiment", "--data", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )

    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    for part in ("semeval2017-a", "tweeteval", "icence"):
        assert part in done.stderr


def test_a_champions_evaluation_is_beside_its_weights() -> None:
    for name in runtime.names():
        evaluation = Registry().champion(name)
        assert evaluation is not None
        assert evaluation["version"] == runtime.load(name).version
        assert json.dumps(evaluation)
