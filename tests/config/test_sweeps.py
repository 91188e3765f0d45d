"""Flags for populations, `--seeds` and `--sweep`, and their one-line errors."""

import sys

import pytest

from gan_jax import train
from gan_jax.config import Penalties, Preset, serialization, sweeps
from gan_jax.config.sweeps import Sweep
from gan_jax.config.validation import validate
from gan_jax.core.errors import UserError
from tests.helpers import small


@pytest.fixture
def parse_flags(monkeypatch):
    """Return a function that applies command-line flags to small.CONFIG."""

    def parse(flags, **changes):
        monkeypatch.setattr(sys, "argv", ["command", *flags.split()])
        return train.parse({"full": Preset(small.config(**changes))}).config

    return parse


@pytest.mark.parametrize(
    ("flags", "seeds", "expected_sweep"),
    [
        ("", (), ()),
        ("--seeds 3", (3,), ()),
        ("--seeds 0 1 5", (0, 1, 5), ()),
        ("--sweep gen_opt.lr 1e-4 2e-4", (), (Sweep("gen_opt.lr", (1e-4, 2e-4)),)),
        ("--sweep gen-opt.lr 1e-4", (), (Sweep("gen_opt.lr", (1e-4,)),)),
        ("--sweep penalties.gradient-penalty 1", (), (Sweep("penalties.gradient_penalty", (1,)),)),
        (
            "--sweep disc-opt.b1 0 .5 --steps 7 --seeds 4 2 --sweep gen-opt.lr.start 1e-3 2",
            (4, 2),
            (Sweep("disc_opt.b1", (0.0, 0.5)), Sweep("gen_opt.lr.start", (1e-3, 2.0))),
        ),
    ],
)
def test_flags(parse_flags, flags, seeds, expected_sweep):
    config = parse_flags(flags)
    assert (config.seeds, config.sweep) == (seeds, expected_sweep)
    assert all(type(value) is float for sweep in config.sweep for value in sweep.values)
    validate(config)


def test_flags_override_the_config_of_the_experiment(parse_flags):
    fields = {"seeds": (1, 2), "sweep": (Sweep("ema_ramp", (0.0, 0.5)),)}
    assert parse_flags("", **fields) == small.config(**fields)
    config = parse_flags("--seeds 7", **fields)
    assert (config.seeds, config.sweep) == ((7,), fields["sweep"])
    assert parse_flags("--seeds", **fields).seeds == ()
    config = parse_flags("--sweep.0 gen_opt.b1 0 0.5", **fields)
    assert config.sweep == (Sweep("gen_opt.b1", (0.0, 0.5)),)


@pytest.mark.parametrize(
    "sweep", [(), (Sweep("gen_opt.lr.end", (1e-45, 0.1, 3.0)), Sweep("disc_opt.eps", (1e-8,)))]
)
def test_round_trip_through_json(sweep):
    config = small.config(seeds=(0, 2**32 - 1), sweep=sweep)
    text = serialization.dumps(config)
    assert serialization.loads(text) == config
    assert serialization.dumps(serialization.loads(text)) == text
    assert str(Sweep("gen_opt.lr", (1e-3, 2.0))) == "gen_opt.lr 0.001 2.0"
    assert [sweeps.parse(str(entry).split()) for entry in sweep] == list(sweep)


PROGRAM = "only real numbers can"
NETWORK = "a network's fields decide shapes, and all members share one program; train the runs one"


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--seeds 1 2 1", "seeds must be different, got (1, 2, 1)"),
        ("--seeds 1 -1", "seed must be from 0 to 4294967295, got -1"),
        ("--seeds 4294967296", "seed must be from 0 to 4294967295, got 4294967296"),
        ("--seeds 1.5", "--seeds"),
        ("--sweep", "sweep must be a field and its values, got ''"),
        ("--sweep gen-opt.lr", "sweep must be a field and its values, got 'gen-opt.lr'"),
        (
            "--sweep gen-opt.lr 1e-3 fast",
            "sweep values must be numbers, got 'gen-opt.lr 1e-3 fast'",
        ),
        ("--sweep gen-opt.lr 1e-3:1e-4:9 1", "sweep values must be numbers"),
        ("--sweep gen-opt.lrr 1 2", "sweep gen_opt.lrr: Optimizer has no field 'lrr' (did you"),
        ("--sweep gen-opt.lrr 1 2", "(did you mean 'lr'?)"),
        ("--sweep gen-optt.lr 1 2", "Config has no field 'gen_optt' (did you mean 'gen_opt'?)"),
        ("--sweep zzz 1 2", "sweep zzz: Config has no field 'zzz'\n"),
        ("--sweep disc-opt.lr.start 1 2", "has no field 'start'"),
        ("--sweep loss.x 1 2", "sweep loss.x: 'relativistic_average' has no field 'x'"),
        ("--sweep gen.widths 8 16", f"sweep gen.widths: {NETWORK} after another\n"),
        ("--sweep gen.nothing 8 16", f"sweep gen.nothing: {NETWORK}"),
        ("--sweep gen 8 16", f"sweep gen: {PROGRAM} be swept\n"),
        ("--sweep batch-size 8 16", f"sweep batch_size: {PROGRAM}"),
        ("--sweep n-critic 1 2", f"sweep n_critic: {PROGRAM}"),
        ("--sweep z-dim 1 2", f"sweep z_dim: {PROGRAM}"),
        ("--sweep steps 1 2", f"sweep steps: {PROGRAM}"),
        ("--sweep penalty-every 1 2", f"sweep penalty_every: {PROGRAM}"),
        ("--sweep data.size 1 2", f"sweep data.size: {PROGRAM}"),
        ("--sweep data.labels 0 1", f"sweep data.labels: {PROGRAM}"),
        ("--sweep loss 1 2", f"sweep loss: {PROGRAM}"),
        ("--sweep gen-opt.name 1 2", f"sweep gen_opt.name: {PROGRAM}"),
        ("--sweep penalties 1 2", f"sweep penalties: {PROGRAM}"),
        ("--sweep gen-opt 1 2", f"sweep gen_opt: {PROGRAM}"),
        ("--sweep gen-opt.lr.steps 1 2", f"sweep gen_opt.lr.steps: {PROGRAM}"),
        ("--sweep gen-opt.lr.shape 1 2", f"sweep gen_opt.lr.shape: {PROGRAM}"),
        ("--sweep sweep 1 2", f"sweep sweep: {PROGRAM}"),
        ("--sweep seed 1 2", "sweep seed: use --seeds instead"),
        ("--sweep seeds 1 2", "sweep seeds: use --seeds instead"),
        ("--sweep ema-ramp 1 1", "sweep ema_ramp 1.0 1.0: fields and values must be different"),
        (
            "--sweep ema-ramp 1 --sweep ema_ramp 2",
            "sweep ema_ramp 1.0: fields and values must be different",
        ),
        (
            "--sweep gen-opt.lr 1 2 --sweep gen-opt.lr.start 1 2",
            "sweep gen_opt.lr: its field gen_opt.lr.start is swept too",
        ),
        (
            "--sweep gen-opt.lr.start 1 2 --sweep gen-opt.lr 1 2",
            "sweep gen_opt.lr: its field gen_opt.lr.start is swept too",
        ),
        ("--sweep gen-opt.b1 0.5 1.5", "gen_opt.b1 must be in [0, 1), got 1.5"),
        ("--sweep gen-opt.b2 0.5 1", "gen_opt.b2 must be in [0, 1), got 1.0"),
        ("--sweep disc-opt.lr 1e-3 -1e-3", "disc_opt.lr must be at least 0, got -0.001"),
        (
            "--sweep gen-opt.lr.end 1 -1",
            "gen_opt.lr must be at least 0, got '0.001:-1.0:20:cosine'",
        ),
        ("--sweep gen-opt.lr.end nan 1", "schedule ends must be finite, got 0.001 and nan"),
        ("--sweep disc-opt.lr inf 1", "disc_opt.lr must be at least 0, got inf"),
        ("--sweep disc-opt.lr nan 1", "disc_opt.lr must be at least 0, got nan"),
        ("--sweep penalties.dragan -1 1", "penalties.dragan must be at least 0, got -1.0"),
        ("--sweep weight-clip -1 1", "weight_clip must be at least 0, got -1.0"),
        ("--sweep label-smoothing 0 0.1", "label_smoothing must be 0 with the loss"),
        (
            "--penalty-every 4 --sweep penalties.r1 0 1",
            "sweep penalties.r1 0.0 1.0: values must not be 0 with penalty_every 4",
        ),
        ("--sweep path-length 2 0", "sweep path_length 2.0 0.0: values must not be 0"),
    ],
)
def test_errors_are_one_line_with_status_2(command, tmp_path, flags, message):
    main = lambda: train.main({"full": Preset(small.CONFIG)})  # noqa: E731
    status, _, error = command(main, f"--workdir {tmp_path / 'run'} --devices 1", flags)
    assert status == 2
    assert error.startswith("error: ")
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "run").exists()  # no run folder is created


def test_sweeps_set_in_python_are_rejected_like_flags():
    for sweep, message in (
        (Sweep("gen_opt.lr", ()), "sweep gen_opt.lr: values must be one or more numbers, got none"),
        (Sweep("", (1.0,)), "sweep : Config has no field ''"),
    ):
        with pytest.raises(UserError, match=message):
            validate(small.config(sweep=(sweep,)))


def test_boundary_values_are_accepted():
    sweep = (Sweep("gen_opt.b1", (0.0, 0.999)), Sweep("weight_clip", (0.0, 1e30)))
    validate(small.config(sweep=sweep, seeds=(0, 2**32 - 1)))
    off = small.config(penalties=Penalties(), sweep=(Sweep("penalties.r1", (0.0, 1.0)),))
    validate(off)
