"""Output of the benchmark: lines while it runs, and a Markdown table of its record."""

from typing import Any

# Targeted ratios to PyTorch's speed, of a variant or (None) of the fastest that trains one GAN.
TARGETS = {
    ("mlp", None): 2.5,
    ("dcgan", None): 1.2,
    ("sngan", None): 1.1,
    ("wgan_gp", None): 1.3,
    ("r3gan", None): 1.0,
    ("mlp", "population of 16"): 5.0,
}


def ratios(variants: dict[str, Any]) -> dict[str, float]:
    """Return the speed of each variant of gan_jax relative to PyTorch's fastest variant."""
    rate = {name: figures["examples_per_second"] for name, figures in variants.items()}
    best = max(rate[name] for name in rate if name.startswith("torch"))
    return {name: rate[name] / best for name in rate if not name.startswith("torch")}


def show(name: str, record: dict[str, Any]) -> None:
    """Print the figures of a network."""
    flops, batch_size = record["flops_per_step"], record["batch_size"]
    print(f"\n{name}: {flops / 1e9:.2f} GFLOP per step, batch {batch_size}")
    for variant, figures in record["ways"].items():
        line = f"  {variant:<34}{figures['examples_per_second']:>10.1f} examples/s"
        line += f"{100 * figures['share_of_peak']:>5.0f} % of peak"
        if "memory_bytes" in figures:
            line += f"{figures['memory_bytes'] / 2**20:>7.0f} MiB"
        if "compile_seconds" in figures:
            line += f", compiled in {figures['compile_seconds']:.1f} s"
        if variant in record.get("ratios", {}):
            line += f", {record['ratios'][variant]:.2f} of PyTorch"
        print(line, flush=True)
    for variant, error in record["failed"].items():
        print(f"  {variant:<34}does not run: {error}", flush=True)


def _row(name: str, variant: str | None, record: dict[str, Any]) -> str:
    """Return a row: a variant, or the fastest that trains one GAN, beside PyTorch's fastest."""
    variants, target = record["ways"], TARGETS.get((name, variant))
    single = [other for other in record["ratios"] if not other.startswith("population")]
    row_variant = variant or max(single, key=record["ratios"].__getitem__)
    torch = max(
        (other for other in variants if other.startswith("torch")),
        key=lambda other: variants[other]["examples_per_second"],
    )
    cells = [
        name,
        row_variant,
        f"{variants[row_variant]['examples_per_second']:.0f}",
        f"{100 * variants[row_variant]['share_of_peak']:.0f} %",
        torch.removeprefix("torch ").removeprefix("torch."),
        f"{variants[torch]['examples_per_second']:.0f}",
        f"{100 * variants[torch]['share_of_peak']:.0f} %",
        f"**{record['ratios'][row_variant]:.2f}**",
        f"{target:.1f}" if target else "",
    ]
    return f"| {' | '.join(cells)} |"


def table(record: dict[str, Any]) -> str:
    """Return a Markdown table of the benchmark's record.

    It has, for each network, the fastest variant that trains one GAN, and the populations, each
    beside PyTorch's fastest variant.
    """
    lines = [
        "| network | variant | examples/s | of peak "
        "| PyTorch | examples/s | of peak | ratio | target |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, network in record["networks"].items():
        populations = [variant for variant in network["ratios"] if variant.startswith("population")]
        lines += [_row(name, variant, network) for variant in (None, *populations)]
    return "\n".join(lines)
