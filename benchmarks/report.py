"""What the benchmark found: as lines while it runs, and as the README's table of it."""

from typing import Any

# How many times PyTorch's speed was aimed at; of one way, or of the best that trains one GAN.
AIMS = {
    ("mlp", None): 2.5,
    ("dcgan", None): 1.2,
    ("sngan", None): 1.1,
    ("wgan_gp", None): 1.3,
    ("r3gan", None): 1.0,
    ("mlp", "population of 16"): 5.0,
}


def ratios(ways: dict[str, Any]) -> dict[str, float]:
    """Examples a second of each of gan_jax's ways over those of PyTorch's fastest."""
    rate = {name: way["examples_per_second"] for name, way in ways.items()}
    best = max(rate[name] for name in rate if name.startswith("torch"))
    return {name: rate[name] / best for name in rate if not name.startswith("torch")}


def show(name: str, found: dict[str, Any]) -> None:
    """Prints a network's figures."""
    print(
        f"\n{name}: {found['flops_per_step'] / 1e9:.2f} GFLOP a step, batch {found['batch_size']}"
    )
    for way, figures in found["ways"].items():
        line = f"  {way:<34}{figures['examples_per_second']:>10.1f} examples/s"
        line += f"{100 * figures['share_of_peak']:>5.0f} % of peak"
        if "memory_bytes" in figures:
            line += f"{figures['memory_bytes'] / 2**20:>7.0f} MiB"
        if "compile_seconds" in figures:
            line += f", compiled in {figures['compile_seconds']:.1f} s"
        if way in found.get("ratios", {}):
            line += f", {found['ratios'][way]:.2f} of PyTorch"
        print(line, flush=True)
    for way, why in found["failed"].items():
        print(f"  {way:<34}does not run: {why}", flush=True)


def _row(name: str, way: str | None, found: dict[str, Any]) -> str:
    """One way of a network beside PyTorch's best; without `way` the fastest that trains one GAN."""
    ways, aim = found["ways"], AIMS.get((name, way))
    solo = [one for one in found["ratios"] if not one.startswith("population")]
    best = way or max(solo, key=found["ratios"].__getitem__)
    torch = max(
        (one for one in ways if one.startswith("torch")),
        key=lambda one: ways[one]["examples_per_second"],
    )
    cells = [
        name,
        best,
        f"{ways[best]['examples_per_second']:.0f}",
        f"{100 * ways[best]['share_of_peak']:.0f} %",
        torch.removeprefix("torch ").removeprefix("torch."),
        f"{ways[torch]['examples_per_second']:.0f}",
        f"{100 * ways[torch]['share_of_peak']:.0f} %",
        f"**{found['ratios'][best]:.2f}**",
        f"{aim:.1f}" if aim else "",
    ]
    return f"| {' | '.join(cells)} |"


def table(found: dict[str, Any]) -> str:
    """The README's table of the benchmark's JSON `found`: of each network the fastest way to train
    one GAN, and its populations, each beside PyTorch's fastest way."""
    lines = [
        "| network | way | examples/s | of peak | PyTorch | examples/s | of peak | ratio | aim |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, one in found["networks"].items():
        populations = [way for way in one["ratios"] if way.startswith("population")]
        lines += [_row(name, way, one) for way in (None, *populations)]
    return "\n".join(lines)
