"""MLflow: a store of files in ``FOLDER/mlflow`` that ``mlflow ui`` shows, or the server of ``MLFLOW_TRACKING_URI``."""

from __future__ import annotations

import importlib
import json
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .contract import LoggedRun, LoggerSpec, Result, flat, own_environment

_KEY = "telbench.key"
# The longest value of a parameter that every store takes.
_LONGEST = 500
_MOST_PARAMETERS = 100
# Where MLflow's pages look for tables among a run's files.
_TABLES = "mlflow.loggedArtifacts"


class _Run:
    def __init__(self, run: LoggedRun) -> None:
        # A server that is gone is told in half a minute, not in five.
        own_environment(MLFLOW_DISABLE_TELEMETRY="true", DO_NOT_TRACK="true", MLFLOW_HTTP_REQUEST_MAX_RETRIES="4")
        address = os.environ.get("MLFLOW_TRACKING_URI")
        if address is None:
            # MLflow would rather have a data base; files need no server and can be copied.
            own_environment(MLFLOW_ALLOW_FILE_STORE="true")
            address = (run.folder / "mlflow").absolute().as_uri()
        # By name: type checkers need not have it.
        mlflow: Any = importlib.import_module("mlflow")
        param: Any = mlflow.entities.Param
        self._metric: Any = mlflow.entities.Metric
        self._client: Any = mlflow.MlflowClient(tracking_uri=address)
        experiment = self._experiment(run.project, mlflow.exceptions.MlflowException)
        known = self._client.search_runs([experiment], f"tags.`{_KEY}` = '{run.key}'")
        if known:
            self._id = known[0].info.run_id
            self._client.update_run(self._id, status="RUNNING")
        else:
            self._id = self._client.create_run(experiment, run_name=run.name, tags={_KEY: run.key}).info.run_id
            settings = [param(name, str(value)[:_LONGEST]) for name, value in flat(run.settings).items()]
            for first in range(0, len(settings), _MOST_PARAMETERS):
                self._client.log_batch(self._id, params=settings[first : first + _MOST_PARAMETERS])
        # What an interrupted training had written after its last save is not written twice.
        found = self._client.get_run(self._id).data.metrics
        self._last = {name: self._client.get_metric_history(self._id, name)[-1].step for name in found}

    def _experiment(self, project: str, taken: type[Exception]) -> str:
        """Its id; several trainings of a study may ask for it at once."""
        for _ in range(10):
            found = self._client.get_experiment_by_name(project)
            if found is not None:
                return found.experiment_id
            try:
                return self._client.create_experiment(project)
            except taken:
                time.sleep(0.2)
        return self._client.create_experiment(project)

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Write what is new."""
        now = int(time.time() * 1000)
        new = [
            self._metric(name, value, now, step) for name, value in values.items() if step > self._last.get(name, -1)
        ]
        if new:
            self._client.log_batch(self._id, metrics=new)

    def result(self, result: Result) -> None:
        """Metrics and tags; tables as JSON that ``mlflow.load_table`` reads; files as they are."""
        self.scalars(1, result.values)
        for name, value in result.tags.items():
            self._client.set_tag(self._id, name, value)
        for table in result.tables:
            told = {"columns": list(table.columns), "data": [list(row) for row in table.rows]}
            self._client.log_dict(self._id, told, f"{table.name}.json")
        names = [{"path": f"{table.name}.json", "type": "table"} for table in result.tables]
        self._client.set_tag(self._id, _TABLES, json.dumps(names))
        self.files(result.files)

    def files(self, paths: Sequence[Path]) -> None:
        """As they are."""
        for path in paths:
            if path.is_dir():
                self._client.log_artifacts(self._id, str(path), path.name)
            else:
                self._client.log_artifact(self._id, str(path))

    def close(self, *, finished: bool) -> None:
        """Tell how it ended."""
        self._client.set_terminated(self._id, "FINISHED" if finished else "KILLED")


MLFLOW = LoggerSpec("mlflow", "mlflow", _Run)
