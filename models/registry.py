"""Where trained models are kept: runs and versions in MLflow, the champion's files where the runtime loads them from.

The champion of a model is what lies in `models/weights/NAME`, in git. MLflow keeps every trained version, with aliases
`champion` and `challenger`: in a local store (`.stack/mlflow.db`), or on the server that MLFLOW_TRACKING_URI names.
CROWDPULSE_MODEL_ARTIFACTS, for example `s3://models`, is where a new experiment's files go instead of `.stack/mlflow`.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # read when it is imported

import mlflow
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from models import runtime
from settings import Settings

ROOT = Path(__file__).resolve().parent.parent
WEIGHTS = ROOT / "models" / "weights"
EXPERIMENT = "crowdpulse"
EVALUATION = "evaluation.json"


class Registry:
    """The models' versions.

    store: MLflow's address, default MLFLOW_TRACKING_URI, else the local store
    artifacts: where the files go, default CROWDPULSE_MODEL_ARTIFACTS, else beside the local store
    weights: the folder of the champions
    """

    def __init__(self, store: str | None = None, artifacts: str | None = None, weights: Path = WEIGHTS) -> None:
        local = ROOT / ".stack"
        local.mkdir(exist_ok=True)
        store = store or os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{local / 'mlflow.db'}"
        self._artifacts = artifacts or Settings().model_artifacts or (local / "mlflow").as_uri()
        self._client = MlflowClient(tracking_uri=store, registry_uri=store)
        self._weights = weights
        mlflow.set_tracking_uri(store)

    def record(self, name: str, files: Path, evaluation: Mapping[str, Any], parameters: Mapping[str, Any]) -> str:
        """Keeps a trained model (the folder that `runtime.save` wrote) as the challenger. Returns its version."""
        (files / EVALUATION).write_text(json.dumps(evaluation, indent=1) + "\n", encoding="utf-8")
        experiment = self._client.get_experiment_by_name(EXPERIMENT)
        identity = (
            experiment.experiment_id if experiment else self._client.create_experiment(EXPERIMENT, self._artifacts)
        )
        run = self._client.create_run(identity, run_name=name)
        for key, value in parameters.items():
            self._client.log_param(run.info.run_id, key, value)
        for key, value in evaluation.items():
            if isinstance(value, float):
                self._client.log_metric(run.info.run_id, key, value)
        self._client.log_artifacts(run.info.run_id, str(files), "model")
        self._client.set_terminated(run.info.run_id)
        try:
            self._client.create_registered_model(name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        version = self._client.create_model_version(name, f"{run.info.artifact_uri}/model", run.info.run_id).version
        self._client.set_registered_model_alias(name, "challenger", version)
        return str(version)

    def champion(self, name: str) -> dict[str, Any] | None:
        """The evaluation of the champion; None if there is no champion."""
        file = self._weights / name / EVALUATION
        return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else None

    def champion_model(self, name: str) -> runtime.Model | None:
        """The champion; None if there is none, or none that this code can run."""
        try:
            return runtime.load(name, self._weights)
        except (LookupError, ValueError):
            return None

    def challenger(self, name: str) -> dict[str, Any] | None:
        """The evaluation of the challenger; None if there is none."""
        version = self._challenger(name)
        if version is None:
            return None
        with tempfile.TemporaryDirectory() as folder:
            return json.loads((self._files(version, Path(folder)) / EVALUATION).read_text(encoding="utf-8"))  # type: ignore[no-any-return]

    def export(self, name: str, folder: Path) -> None:
        """Copies the challenger's files to `folder`/NAME. Raises LookupError when there is no challenger."""
        version = self._challenger(name)
        if version is None:
            raise LookupError(f"{name} has no challenger.")
        with tempfile.TemporaryDirectory() as temporary:
            files = self._files(version, Path(temporary))
            shutil.rmtree(folder / name, ignore_errors=True)
            shutil.copytree(files, folder / name)

    def promote(self, name: str) -> str:
        """Makes the challenger the champion: its files go to the champion's place. Returns its version there.

        Raises LookupError when there is no challenger.
        """
        self.export(name, self._weights)
        version = self._challenger(name)
        self._client.set_registered_model_alias(name, "champion", version.version)
        self._client.delete_registered_model_alias(name, "challenger")
        return runtime.load(name, self._weights).version

    def _challenger(self, name: str) -> Any:
        try:
            return self._client.get_model_version_by_alias(name, "challenger")
        except MlflowException as error:
            if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                return None
            raise

    def _files(self, version: Any, folder: Path) -> Path:
        return Path(self._client.download_artifacts(version.run_id, "model", str(folder)))
