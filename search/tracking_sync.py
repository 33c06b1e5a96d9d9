"""Bringing MLflow up to date with a run's study."""

from dataclasses import dataclass

from search.flow import read_run, subject
from search.run_folder import RunFolder
from search.tracking import sync, tracking_uri
from spaces import UserError


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a run is found in MLflow."""

    uri: str
    experiment: str
    experiment_id: str
    search_id: str
    num_trials: int
    runs: str


def sync_run(folder: RunFolder) -> Place:
    """Complete the MLflow view of a run.

    Raises:
        UserError: MLflow does not answer.
    """
    from mlflow.exceptions import MlflowException

    result = read_run(folder)
    settings, runs = result.config.tracking, folder.path.parent
    uri = tracking_uri(settings, runs=runs)
    about = subject(folder, result.config, result.dense, environment=result.environment)
    status = "FINISHED" if result.finished else "KILLED"
    try:
        experiment_id = sync(
            settings, about, front=result.front, measured=list(result.measured), status=status, report=result.report
        )
    except MlflowException as error:
        raise UserError("tracking.uri", uri, f"MLflow does not answer: {str(error).splitlines()[0][:200]}") from error
    return Place(
        uri=uri,
        experiment=settings.experiment,
        experiment_id=experiment_id,
        search_id=folder.search_id,
        num_trials=len({item.number for item in result.measured}),
        runs=str(runs),
    )
