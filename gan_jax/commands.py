"""What the commands of `python -m gan_jax` do. Nothing heavy is imported before one runs."""

import argparse
from pathlib import Path


def sample(args: argparse.Namespace) -> None:
    """Writes a grid of samples of the newest checkpoint, or of that of --step; of a run on sounds
    these one after another where --out ends in .wav, else pictures of them; of a run on texts a
    file with a sample a line."""
    from gan_jax import keys, plots, sampling, sentences, trained
    from gan_jax.audio import write_sounds
    from gan_jax.errors import UserError

    if args.num < 1:
        raise UserError(f"num is {args.num}: it must be at least 1")
    key = keys.sample_key(args.seed)
    found = trained.load(args.run, args.step, args.member)
    config, variables = found.config, found.variables
    of_text = sentences.of_tokens(config)
    out = Path(args.out or ("samples.txt" if of_text else "samples.png"))
    if out.exists() and not args.force:
        raise UserError(f"{out} exists: give --force to overwrite it, or another --out")
    done = f"{out}: {args.num} samples of {found.title}, seed {args.seed}"
    if of_text:
        rows = sentences.sample(config, variables, key, args.num, args.temperature)
        lines = sentences.written(config, rows, found.vocabulary)
        try:
            out.parent.mkdir(parents=True, exist_ok=True)
            out.write_text(lines, encoding="utf-8")
        except OSError as error:
            raise UserError(f"out is {args.out!r}: {error}") from None
        print(done)
        return
    made = sampling.sample(config, variables, key, args.num)
    columns = min(args.num, sampling.classes(config) or 8)
    if sound := found.sound:
        try:
            write_sounds(out, made, sound, columns)
        except (OSError, ValueError) as error:
            raise UserError(f"out is {args.out!r}: {error}") from None
        print(done)
        return
    if made.ndim == 2:
        image = plots.density(made, made)
    else:
        pixels = plots.to_pixels(made, symmetric=config.data.symmetric)
        image = plots.grid(pixels, columns)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        image.save(out)
    except (OSError, ValueError) as error:
        raise UserError(f"out is {args.out!r}: {error}") from None
    print(done)


def augment(args: argparse.Namespace) -> None:
    """Writes a labelled data set of samples of a class-conditional run, to train classifiers on: a
    folder with an npz, with a folder of pictures a class, or with what tensorflow-datasets reads;
    and samples.json, which says how it was made."""
    from gan_jax import labelled_set, trained

    out = Path(args.out)
    labelled_set.check_out(out, args.format, force=args.force)
    found = trained.load(args.run, args.step, args.member)
    made = labelled_set.augment(
        found.config,
        found.variables,
        out,
        form=args.format,
        per_class=args.per_class,
        classes=args.classes,
        seed=args.seed,
        step=found.step,
        member=found.member,
        force=args.force,
    )
    print(f"{out}: {made} labelled samples of {found.title}, seed {args.seed}, as {args.format}")


def repair(args: argparse.Namespace) -> None:
    """Repairs a folder of pictures of any size by a run that was trained with masks: of each, where
    --mask says, and nowhere else."""
    from gan_jax.repair_files import repair_folder

    how = {name: getattr(args, name) for name in ("seed", "member", "step", "fit", "force")}
    done, tried = repair_folder(args.run, args.pictures, args.out, args.mask, count=args.num, **how)
    print(f"{args.out}: {done} of {tried} pictures repaired")


def record(args: argparse.Namespace) -> None:
    """Writes what runs of one experiment came to, with seeds and versions, small enough to commit.

    The scores are those of `evaluate`; without it, runs on a 2-D mixture are scored all the same.
    """
    from gan_jax import record
    from gan_jax.restore import restore
    from gan_jax.scores import scores

    found = []
    for workdir in args.run:
        _, config, state = restore(workdir)
        found.append(record.on_record(workdir, config) or scores(config, state))
    print(record.record(args.run, found, args.out))


def evaluate(args: argparse.Namespace) -> None:
    """Scores samples of a run against its data, and writes scores.json with the protocol of every
    number. Of pictures: Frechet and kernel distance, precision, recall, density and coverage, by
    the features of a classifier of the data's own labels, or --features; with --cas what such a
    classifier learns from samples, with --path-length how smoothly they change with z. Of the 2-D
    mixtures: modes covered, high-quality share, KL. Of texts: BLEU, self-BLEU and likelihoods, over
    temperatures."""
    from gan_jax import keys, placement, restore, run, sentences
    from gan_jax.data import sources
    from gan_jax.errors import UserError
    from gan_jax.metrics import evaluate as scoring
    from gan_jax.metrics import generator_scores
    from gan_jax.metrics.features.choose import choose

    if args.num is not None and args.num < 6:
        raise UserError(f"num is {args.num}: it must be at least 6")
    if args.path_length < 0:
        raise UserError(f"path_length is {args.path_length}: it must be at least 1, or 0 for none")
    keys.sample_key(args.seed or 0)  # refuses seeds that are none
    config, steps = run.load_config(args.run), restore.steps(args.run)
    devices = placement.pick_devices(args.devices)
    dataset = scoring.load_data(args.run, config, args.data)
    if sentences.of_tokens(config):
        from gan_jax.metrics import text_scores

        for flag in ("cas", "features", "path_length"):
            if getattr(args, flag):
                raise UserError(f"{flag}: it is for pictures, and {args.run} is a run on texts")
        taken = steps if args.checkpoints == "all" else steps[-1:]
        cards = text_scores.evaluate(
            args.run,
            dataset,
            data=scoring.moved(config.data, args.data),
            steps=taken,
            num=args.num,
            seed=args.seed,
            temperatures=args.temperatures or text_scores.TEMPERATURES,
        )
        _write_cards(args.run / "scores.json", cards, run.packages(devices))
        return
    data, features = scoring.moved(config.data, args.data), None
    test = generator_scores.labelled_test(config, data) if args.cas else None
    if config.data.name not in sources.MIXTURES:
        features = choose(args.features, data, args.weights, dataset=dataset)
    cards = scoring.evaluate(
        args.run,
        features,
        steps=steps if args.checkpoints == "all" else steps[-1:],
        num=args.num,
        seed=args.seed,
        dataset=dataset,
        data=data,
        test=test,
        paths=args.path_length,
        devices=devices,
    )
    _write_cards(args.run / "scores.json", cards, run.packages(devices))


def _write_cards(out: Path, cards: list, versions: dict) -> None:
    from gan_jax.metrics import card

    card.write(out, cards, versions)
    print(card.table(cards))
    print(f"{out}: {len(cards)} cards")


def score(args: argparse.Namespace) -> None:
    """Scores the pictures below one folder against those below another."""
    from gan_jax import placement, run
    from gan_jax.config import Data
    from gan_jax.data import sources
    from gan_jax.metrics import card
    from gan_jax.metrics import evaluate as scoring
    from gan_jax.metrics.features.choose import choose

    devices = placement.pick_devices(args.devices)
    data = Data("folder", path=str(args.real))
    real = sources.load(data)
    features = choose(args.features, data, args.weights, dataset=real)
    cards = scoring.score_folders(args.real, args.fake, features, devices, dataset=real)
    print(card.table(cards))
    if args.out:
        card.write(args.out, cards, run.packages(devices))


def resume(args: argparse.Namespace) -> None:
    """Goes on with a run, to --steps or to where it was meant to go."""
    import dataclasses

    from gan_jax import cli, distributed, placement, run, train
    from gan_jax.validation import validate

    config = run.load_config(args.run)
    if args.steps is not None:
        config = dataclasses.replace(config, steps=args.steps)
    validate(config)
    how = {name: getattr(args, name) for name in ("members_at_once", "stream", "workers")}
    where = (args.coordinator, args.num_processes, args.process_id, distributed.HEARTBEAT_TIMEOUT)
    with distributed.distributed_session(*where), cli.user_errors():
        devices = placement.pick_devices(args.devices, config.batch_size)
        train.fit(config, args.run, devices=devices, **how)


def reproduce(args: argparse.Namespace) -> None:
    """Trains a recorded run again, and says whether, and where first, the two part: in metrics,
    digests of states and samples; and what differs of versions, device, data and config. RUN is a
    run folder, or a file of experiments/results/. Exit status 1 if they part."""
    import tempfile

    from gan_jax import reproduce
    from gan_jax.errors import UserError

    if args.steps is not None and args.steps < 1:
        raise UserError(f"steps is {args.steps}: it must be at least 1")
    if args.out is not None and args.out.exists():
        raise UserError(f"{args.out} exists: give another --out")
    with tempfile.TemporaryDirectory() as beside:
        out = args.out or Path(beside) / "run"
        verdict = reproduce.reproduce(args.run, out, args.steps, args.data)
    print(reproduce.report(verdict))
    if verdict.parted:
        raise SystemExit(1)


def diff(args: argparse.Namespace) -> None:
    """Compares two runs (folders, or files of experiments/results/) over the steps that both have,
    as reproduce does. Exit status 1 if they part."""
    from gan_jax import reproduce

    verdict = reproduce.compare(*map(reproduce.recorded, (args.run, args.other)))
    print(reproduce.report(verdict))
    if verdict.parted:
        raise SystemExit(1)
