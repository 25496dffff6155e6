"""All rows by name."""

from __future__ import annotations

from dataclasses import replace

from aista.losses import Exact, Ipot, Partial, Relaxed, Sinkhorn, SinkhornDivergence, Sliced, Unbalanced
from benchmarks.ot.rows import batched, floor, geomloss, ott_jax, own, pot_batch, pot_loop, unrolled
from benchmarks.ot.rows.base import Prepare, Row

__all__ = ["FLOOR", "OTHERS", "RACE", "ROWS"]

FLOOR = "floor"
POLISHED: dict[str, float] = {"value_bound": 1e-5, "gradient_bound": 1e-3}
"""Bounds of a row whose Newton step makes its marginals right."""


def _ours(summary: str, prepare: Prepare, *, polished: bool) -> Row:
    row = Row(summary=summary, prepare=prepare, ours=True, half=True)
    return replace(row, **POLISHED) if polished else row


def _on_gpu(summary: str, prepare: Prepare, *, devices: tuple[str, ...] = ("cuda",), checked: bool = True) -> Row:
    row = Row(summary=summary, prepare=prepare, devices=devices, ours=True, half=True, checked=checked)
    return replace(row, module="triton", distribution="triton", extra="triton")


def _pot(summary: str, prepare: Prepare, *, devices: tuple[str, ...] = ("cpu", "cuda")) -> Row:
    return Row(summary=summary, prepare=prepare, module="ot", distribution="POT", devices=devices)


def _other(summary: str, prepare: Prepare) -> Row:
    return Row(summary=summary, prepare=prepare, ours=True, checked=False, half=True)


RACE = {
    FLOOR: Row(summary="norms and three padded matrix products", prepare=floor.prepare, checked=False, half=True),
    "sinkhorn": _ours("aista's default", own.entropic(), polished=True),
    "sinkhorn_detached": _ours("aista, gradient by the speech side alone", own.entropic(text=False), polished=True),
    "sinkhorn_unpolished": _ours("aista without the Newton step", own.entropic(polish=False), polished=False),
    "batched": replace(
        _on_gpu("the path of accelerators by name", batched.entropic(), devices=batched.DEVICES), **POLISHED
    ),
    "sinkhorn_graph": replace(_on_gpu("aista's default as a CUDA graph", batched.captured(own.entropic())), **POLISHED),
    "sinkhorn_unpolished_graph": _on_gpu("without the Newton step", batched.captured(own.entropic(polish=False))),
    "iterations": _on_gpu("the kernel that iterates, alone", batched.iterations, checked=False),
    "floor_graph": replace(
        _on_gpu("the floor as a CUDA graph", batched.captured(floor.prepare), checked=False), ours=False
    ),
    "pot_loop": _pot("POT, ot.sinkhorn sample by sample", pot_loop.prepare, devices=("cpu",)),
    "pot_batch": _pot("POT, ot.batch, its default log domain, envelope", pot_batch.adapter("log_sinkhorn")),
    "pot_batch_exp": _pot("POT, ot.batch, exp domain, envelope", pot_batch.adapter("sinkhorn")),
    "geomloss": Row(
        summary="GeomLoss, SamplesLoss, tensorized",
        prepare=geomloss.prepare,
        module="geomloss",
        distribution="geomloss",
        extra="aista[peers]",
    ),
    "ott_jax": Row(
        summary="OTT-JAX, jit and vmap, kernel mode",
        prepare=ott_jax.prepare,
        module="ott",
        distribution="ott-jax",
        extra="aista[peers]",
        devices=("cpu",),
    ),
    "unrolled": Row(summary="plain torch, log domain, autograd through all iterations", prepare=unrolled.prepare),
}
"""Entropic transport at the benchmark's epsilon and iterations."""

OTHERS = {
    "sinkhorn_divergence": _other("aista, debiased", own.solver(SinkhornDivergence())),
    "unbalanced": _other("aista, penalised marginals", own.solver(Unbalanced())),
    "log_domain": _other("aista's reference backend", own.solver(Sinkhorn(backend="reference"))),
    "exact": _other("aista, network simplex", own.solver(Exact())),
    "partial": _other("aista, a share of the mass", own.solver(Partial())),
    "ipot": _other("aista, proximal point", own.solver(Ipot())),
    "relaxed": _other("aista, nearest neighbour", own.solver(Relaxed())),
    "sliced": _other("aista, random projections", own.solver(Sliced())),
}
"""Solvers of other problems, at their defaults: timed where they are named, and not compared with the reference."""

ROWS = RACE | OTHERS
