"""The saved view that opens MLflow on the Pareto scatter. An undocumented format of its web page: best effort."""

import base64
import hashlib
import json
import time
import zlib
from typing import Any

_COLUMNS = ("metrics.`accuracy`", "metrics.`macs_ratio`", "metrics.`macs`", "metrics.`params`")
_TAIL = ("params.`allocator`", "params.`method`", "tags.`pareto`")


def view_key(search_id: str) -> str:
    """Under which the view of one search is stored in its experiment."""
    return "paretoprune" + hashlib.sha256(search_id.encode()).hexdigest()[:12]


def view_tag(search_id: str) -> tuple[str, str]:
    """Name and value of the experiment tag that holds the view of one search."""
    now = int(time.time() * 1000)
    packed = base64.b64encode(zlib.compress(json.dumps(_state(search_id)).encode())).decode()
    value = {"name": f"Pareto: {search_id}", "createdAt": now, "updatedAt": now, "state": f"deflate;{packed}"}
    return f"mlflow.sharedViewState.{view_key(search_id)}", json.dumps(value)


def view_url(base: str, *, experiment_id: str, search_id: str) -> str:
    """The address of the view on a server."""
    return (
        f"{base.rstrip('/')}/#/experiments/{experiment_id}/runs?viewStateShareKey={view_key(search_id)}"
        "&compareRunsMode=CHART&workflowType=machine_learning"
    )


def _state(search_id: str) -> dict[str, Any]:
    return {
        "searchFilter": f"tags.search_id = '{search_id}' AND tags.role = 'trial'",
        # Sorted by a metric, children are listed flat; by time they hide below their parent.
        "orderByKey": "metrics.`accuracy`",
        "orderByAsc": False,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "datasetsFilter": [],
        "modelVersionFilter": "All Runs",
        "selectedColumns": [*_COLUMNS, *_TAIL],
        "columnOrder": [],
        "columnWidths": {},
        "runsExpanded": {},
        "runsPinned": [],
        "runsHidden": [],
        "runsVisibilityMap": {},
        "runsHiddenMode": "SHOW_ALL",
        "compareRunCharts": [_scatter("macs_ratio", "pareto-macs"), _scatter("params_ratio", "pareto-params")],
        "compareRunSections": [_section()],
        "viewMaximized": True,
        "runListHidden": True,
        "isAccordionReordered": False,
        "useGroupedValuesInCharts": True,
        "hideEmptyCharts": True,
        "groupBy": None,
        "groupsExpanded": {},
        "autoRefreshEnabled": True,
        "globalLineChartConfig": {"xAxisKey": "step", "lineSmoothness": 0, "selectedXAxisMetricKey": ""},
    }


def _scatter(cost: str, uuid: str) -> dict[str, Any]:
    return {
        "uuid": uuid,
        "type": "SCATTER",
        "runsCountToCompare": 100,
        "metricSectionId": "pareto",
        "xaxis": {"key": cost, "type": "METRIC"},
        "yaxis": {"key": "accuracy", "type": "METRIC"},
        "deleted": False,
        "isGenerated": False,
    }


def _section() -> dict[str, Any]:
    return {
        "uuid": "pareto",
        "name": "Pareto front: accuracy against MACs and parameters",
        "display": True,
        "isReordered": False,
        "deleted": False,
        "isGenerated": False,
        "columns": 2,
        "cardHeight": 520,
    }
