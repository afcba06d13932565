from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmle_core.config import Config, ConfigError, load_config, parse_config, presets


@pytest.mark.parametrize("preset", presets())
def test_every_preset_is_valid_and_differs_from_the_defaults(preset: str) -> None:
    assert load_config(preset).digest() != Config().digest()


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("training.round=2", "training: unknown name 'round'; did you mean 'rounds'?"),
        ("trainin.rounds=2", "unknown name 'trainin'; did you mean 'training'?"),
        ("loss.kind=hinges", "is not one of hinge, centroid-margin, softmax-ratio; did you mean 'hinge'?"),
        ("data.source=digit", "data.source: 'digit' is not one of faces, digits; did you mean 'digits'?"),
        ("data.removed=1", "data.removed: Input should be less than 1 (got 1)"),
        ("data.held_out=[0.5, 0.5]", "two positive shares that sum to less than 1, found (0.5, 0.5)"),
        ("data.held_out=[0, 0.2]", "two positive shares that sum to less than 1, found (0.0, 0.2)"),
        ("data.held_out=[0.1]", "data.held_out.1: Field required"),
        ("seed=-1", "seed: Input should be greater than or equal to 0 (got -1)"),
        ("training.batch=many", "training.batch: Input should be a valid integer"),
        ("training.rounds", "expected section.key=value"),
        ("seed.rounds.more=1", "seed: Input should be a valid integer"),
    ],
)
def test_a_wrong_name_or_value_is_refused_with_the_nearest(setting: str, message: str) -> None:
    with pytest.raises(ConfigError) as refused:
        load_config("demo", [setting])
    assert message in str(refused.value)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["training.sampler=class-equal", "training.costs=inverse"], "balance the classes twice"),
        (
            ["loss.kind=softmax-ratio", "training.costs=inverse"],
            "would balance the classes twice",
        ),
        (["training.sampler=minority", "training.costs=inverse"], "would balance the classes twice"),
        (["loss.embedding_weight=0", "loss.bce_weight=0"], "nothing would be trained"),
        (["loss.margins=[-0.1, 0.2, 0.5]"], "greater than or equal to 0"),
        (["loss.angles=[-3, 0.05]"], "greater than or equal to 0"),
        (["loss.angles=[5.7, 0.05]"], "less than or equal to 1.57"),
        (["loss.margins=[inf, 0.1, 0.1]"], "should be a finite number"),
        (["index.clusters_per_class=[0]"], "greater than or equal to 1"),
        (["index.neighbours=[-1]"], "greater than or equal to 0"),
        (["quintuplets.mode=table", "loss.kind=centroid-margin"], "trains on loss.kind 'hinge'"),
        (["prior.kind=torchvision"], "needs prior.weights"),
        (["engines.nodes=2"], "nodes and rendezvous go together, found 2 and None"),
        (["engines.rendezvous=node0:29400"], "nodes and rendezvous go together, found 1 and node0:29400"),
        (["engines.processes=2", "engines.device=cuda:1"], "device 'cuda:1' is one GPU, and each process"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(settings: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_config(None, settings)


def test_presets_come_by_name_or_path(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="unknown preset 'dem'; did you mean 'demo'"):
        load_config("dem")
    with pytest.raises(ConfigError, match="No such file"):
        load_config(str(tmp_path / "own.toml"))
    (tmp_path / "own.toml").write_text("[training\n")
    with pytest.raises(ConfigError, match="not TOML"):
        load_config(str(tmp_path / "own.toml"))
    (tmp_path / "own.toml").write_text('seed = 3\n[loss]\nmargins = "null"\n')
    own = load_config(str(tmp_path / "own.toml"), ["training.rounds=2"])
    assert (own.seed, own.loss.margins, own.training.rounds) == (3, None, 2)


def test_where_the_data_comes_from_is_a_part_of_the_digest() -> None:
    sections: tuple[dict[str, Any], ...] = (
        {},
        {"source": "digits"},
        {"removed": 0.4},
        {"held_out": (0.1, 0.2)},
        {"images": 500},
    )
    assert len({parse_config({"data": section}).digest() for section in sections}) == len(sections)
    assert load_config(None, ["data.held_out=[0.15, 0.25]"]).data.held_out == (0.15, 0.25)
    view = load_config(None, ["data.source=digits", "data.removed=0.4"]).view("data.removed")
    assert (view.data.removed, view.data.source) == (0.4, "faces")


def test_engines_and_paths_are_no_part_of_the_digest_and_everything_else_is() -> None:
    plain = Config()
    assert (
        parse_config({"data": {"directory": "celeba"}}).digest() == parse_config({"data": {"directory": "b"}}).digest()
    )
    assert parse_config({"engines": {"threads": 1}}).digest() == plain.digest()
    assert parse_config({"loss": {"temperature": 0.2}}).digest() != plain.digest()


@given(rounds=st.integers(1, 9), batch=st.integers(8, 512), seed=st.integers(0, 99))
def test_a_view_keeps_what_is_named_and_forgets_the_rest(rounds: int, batch: int, seed: int) -> None:
    config = parse_config({"seed": seed, "training": {"rounds": rounds, "batch": batch}, "engines": {"threads": 2}})
    view = config.view("seed", "training.batch")
    assert (view.seed, view.training.batch, view.engines.threads) == (seed, batch, 2)
    assert view.training.rounds == Config().training.rounds
    assert config.view("seed", "training", "loss", "quintuplets").training == config.training
