"""Run as a script: rebuild an exported network as its user would, with torch alone, and say what it computes."""

import json
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from evaluators.artifact import load_slim
from evaluators.modes import logits_of
from pruners import count_macs


def main(folder: str, inputs: str, outputs: str) -> None:
    """Write the logits of every probe in `inputs` to `outputs`; the last line of output has the MACs, as JSON."""
    model = load_slim(Path(folder))
    probes = load_file(inputs)
    with torch.no_grad():
        logits = {name: logits_of(model(probe)).contiguous() for name, probe in probes.items()}
    save_file(logits, outputs)
    facts = {
        "macs": count_macs(model, probes["0"][:1]),
        "modules": sorted({name.split(".")[0] for name in sys.modules}),
    }
    sys.stdout.write(json.dumps(facts) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
