"""What test_cluster_commands.py runs on the head: a search over the cluster, and what became of it, as JSON."""

import json
import os
import subprocess
import sys
import time

import ray
from mlflow import MlflowClient

NODES = 2
CONFIG = """
model: digits_resnet
data: digits
target_flops: 0.3:0.8
trials: 4
train: {steps: 20}
space: {preset: methods, allocators: [uniform], methods: [l1]}
"""


def alive() -> list[str]:
    return [node["NodeID"] for node in ray.nodes() if node["Alive"]]


def main() -> None:
    stranger = {**os.environ, "RAY_AUTH_TOKEN": "0" * 64}
    refused = subprocess.run(
        ["ray", "health-check", "--address=ray-head:6379"], env=stranger, capture_output=True, text=True, check=False
    )
    ray.init(address="ray-head:6379", log_to_driver=False)
    deadline = time.monotonic() + 120
    while len(alive()) < NODES and time.monotonic() < deadline:
        time.sleep(0.5)
    nodes, cpus = len(alive()), int(ray.cluster_resources()["CPU"])
    ray.shutdown()
    with open("config.yaml", "w", encoding="utf-8") as file:
        file.write(CONFIG)
    # A worker takes all of a node's processors, so that two workers take both nodes.
    settings = ["workers.address=ray-head:6379", "workers.count=2", f"workers.cpus={cpus // NODES}"]
    settings += ["tracking.uri=http://mlflow:5000"]
    command = [sys.executable, "-m", "search.cli", "search", "config.yaml", "--name", "far"]
    search = subprocess.run([*command, *(part for s in settings for part in ("--set", s))], check=False)
    client = MlflowClient("http://mlflow:5000")
    experiment = client.get_experiment_by_name("paretoprune")
    runs = client.search_runs([experiment.experiment_id]) if experiment else []
    # On a slow machine the search ends before MLflow has its last figures; the trials are there in any case.
    roles = sorted(run.data.tags["role"] for run in runs)
    facts = {"nodes": nodes, "search": search.returncode, "roles": roles, "stranger": refused.stderr}
    with open("facts.json", "w", encoding="utf-8") as file:
        json.dump(facts, file)


if __name__ == "__main__":
    main()
