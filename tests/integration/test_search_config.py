"""Configurations and budgets: five lines suffice, every mistake is one line that names the nearest valid thing."""

from pathlib import Path

import pytest

from search.config import Config
from search.config_file import dump_config, load_config, parse_config
from search.targets import Target
from search.yaml_text import read_yaml
from spaces import InfeasibleError, UserError

FIVE_LINES = """
model: resnet20
weights: resnet20.safetensors
data: {name: image_folder, path: images}
target_flops: 0.3:0.8
trials: 60
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "config.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_five_lines_are_a_configuration(tmp_path: Path) -> None:
    config = load_config(write(tmp_path, FIVE_LINES))
    assert config.model.name == "resnet20"
    assert config.model_weights == str(tmp_path / "resnet20.safetensors")
    assert config.data.params == {"path": str(tmp_path / "images")}
    assert [rung.name for rung in config.ladder] == ["recalibrate"]
    assert parse_config(read_yaml(dump_config(config), source="dump")) == config


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("trials=7", lambda c: c.trials == 7),
        ("sampler.name=nsga2", lambda c: c.sampler.name == "nsga2"),
        ("sampler.startup=3", lambda c: c.sampler.params == {"startup": 3}),
        ("model.width=8", lambda c: c.model.params == {"width": 8}),
        ("ladder.0.num_samples=64", lambda c: c.ladder[0].params == {"num_samples": 64}),
        ("ladder=[recalibrate, {proxy: finetune, steps: 10}]", lambda c: c.ladder[1].params == {"steps": 10}),
        ("target_flops=55M", lambda c: c.target_flops == "55M"),
        ("target_flops=0.45", lambda c: c.target_flops == "0.45"),
        ("train.lr=1e-3", lambda c: c.train == {"lr": 0.001}),
        ("space.methods=[l1, {name: fpgm, p: 1}]", lambda c: c.space.methods[1].params == {"p": 1}),
        ("space.methods=all", lambda c: [plugin.name for plugin in c.space.methods] == ["all"]),
        ("space.exclude=conv1", lambda c: c.space.exclude == ("conv1",)),
    ],
)
def test_overrides(tmp_path: Path, override: str, expected: object) -> None:
    assert expected(load_config(write(tmp_path, FIVE_LINES), overrides=[override]))


@pytest.mark.parametrize(
    ("extra", "overrides", "message"),
    [
        ("spce: {}", [], "spce: unknown key; did you mean 'space'?"),
        ("space: {prest: full}", [], "space.prest: unknown key; did you mean 'preset'?"),
        (
            "space: {preset: layer}",
            [],
            "space.preset = 'layer': is not one of the known values; did you mean 'layerwise'",
        ),
        ("ladder: [{prox: x}]", [], "ladder.0.name: is required"),
        ("trials: 3", [], "line 7: is not YAML: 'trials' twice"),
        ("seed: [", [], "line 7: is not YAML"),
        ("", ["trials=many"], "trials = 'many': should be a valid integer"),
        ("", ["trials=0"], "trials = 0: should be greater than or equal to 1"),
        ("", ["trials"], "--set = 'trials': must be key=value"),
        ("", ["workers=4"], "workers = 4: should be a name, or keys and values"),
        ("", ["workers.count.x=4"], "workers.count = {'x': 4}: should be a valid integer"),
        ("", ["target_flops=huge"], "target_flops = 'huge': must be a fraction"),
        ("", ["target_flops=0.8:0.3"], "from the smaller to the larger"),
        ("", ["model.weights=b.pt"], "is also given as model.weights"),
        ("", ["name=a b"], "should be letters"),
        ("", ["model={width: 3}"], "model.name: is required"),
    ],
)
def test_mistakes_are_one_line(tmp_path: Path, extra: str, overrides: list[str], message: str) -> None:
    with pytest.raises(UserError) as caught:
        load_config(write(tmp_path, FIVE_LINES + extra), overrides=overrides)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_and_a_list_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no such file"):
        load_config(tmp_path / "nothing.yaml")
    with pytest.raises(UserError, match="keys and values"):
        load_config(write(tmp_path, "- a\n- b\n"))


def test_paths_in_overrides_are_relative_to_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "elsewhere").mkdir()
    config = load_config(write(tmp_path / "elsewhere", FIVE_LINES), overrides=["weights=w.pt", "data.path=pictures"])
    assert config.weights == str(tmp_path / "w.pt")
    assert config.data.params["path"] == str(tmp_path / "pictures")


@pytest.mark.parametrize(
    ("text", "macs"),
    [
        (0.45, (45, 45)),
        ("45%", (45, 45)),
        (1, (100, 100)),
        ("30:50", (30, 50)),
        ("0.3:0.8", (30, 80)),
        ("30%:0.8", (30, 80)),
        ("0.05K", (50, 50)),
        ("5e1", (50, 50)),
        (50, (50, 50)),
    ],
)
def test_budgets(text: object, macs: tuple[int, int]) -> None:
    budget = Target.parse(text).resolve(dense_macs=100, min_macs=9)
    assert (budget.low_macs, budget.high_macs) == macs
    assert budget.is_pinned == (macs[0] == macs[1])


def test_units() -> None:
    budget = Target.parse("55M:1.2G").resolve(dense_macs=2_000_000_000, min_macs=1)
    assert (budget.low_macs, budget.high_macs) == (55_000_000, 1_200_000_000)


@pytest.mark.parametrize("text", ["0.01", "0.01:0.5", "200", "0.5:1M"])
def test_budgets_out_of_reach_name_the_reachable_range(text: str) -> None:
    with pytest.raises(InfeasibleError, match=r"reachable here: 0\.09 to 1 of dense, 9 to 100 MACs"):
        Target.parse(text).resolve(dense_macs=100, min_macs=9)


@pytest.mark.parametrize("text", ["", "abc", "0", "-1", "120%", "1:2:3", True, "1.2.3", "0.5x", "nan", "inf"])
def test_unreadable_budgets(text: object) -> None:
    with pytest.raises(UserError, match="target_flops"):
        Target.parse(text)


def test_defaults_are_valid() -> None:
    assert Config.model_validate({"model": "a", "data": "b"}).target.text == "0.3:0.8"
