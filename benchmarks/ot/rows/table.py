"""All rows by name."""

from __future__ import annotations

from dataclasses import replace

from aista.losses import Exact, Ipot, Partial, Relaxed, Sinkhorn, SinkhornDivergence, Sliced, Unbalanced
from benchmarks.ot.rows import batched, flash_sinkhorn, floor, geomloss, ott_jax, own, pot_batch, pot_loop, unrolled
from benchmarks.ot.rows.base import Prepare, Row

__all__ = ["FLOOR", "OTHERS", "RACE", "ROWS"]

FLOOR = "floor"


def _ours(summary: str, prepare: Prepare, *, polished: bool) -> Row:
    row = Row(summary=summary, prepare=prepare, ours=True, half=True)
    return replace(row, value_bound=1e-5, gradient_bound=1e-3) if polished else row


def _on_gpu(row: Row, *, devices: tuple[str, ...] = ("cuda",)) -> Row:
    return replace(row, devices=devices, module="triton", distribution="triton", extra="triton")


def _pot(summary: str, prepare: Prepare, *, devices: tuple[str, ...] = ("cpu", "cuda")) -> Row:
    return Row(summary=summary, prepare=prepare, module="ot", distribution="POT", devices=devices)


def _other(summary: str, prepare: Prepare) -> Row:
    return Row(summary=summary, prepare=prepare, ours=True, checked=False, half=True)


RACE = {
    FLOOR: Row(summary="norms and three padded matrix products", prepare=floor.prepare, checked=False, half=True),
    "sinkhorn": _ours("aista's default", own.entropic(), polished=True),
    "sinkhorn_detached": _ours("aista, gradient by the speech side alone", own.entropic(text=False), polished=True),
    "sinkhorn_unpolished": _ours("aista without the Newton step", own.entropic(polish=False), polished=False),
    "sinkhorn_batched": replace(
        _ours("aista, the padded batch at once", own.entropic(backend="batched"), polished=True), devices=("cpu",)
    ),
    "batched": _on_gpu(
        _ours("the path of accelerators, named", batched.entropic(), polished=True), devices=batched.DEVICES
    ),
    "sinkhorn_graph": _on_gpu(
        _ours("aista's default as a CUDA graph", batched.captured(own.entropic()), polished=True)
    ),
    "sinkhorn_unpolished_graph": _on_gpu(
        _ours("the same without the Newton step", batched.captured(own.entropic(polish=False)), polished=False)
    ),
    "iterations": _on_gpu(replace(_other("the kernel that iterates, alone", batched.iterations), whole=False)),
    "floor_graph": _on_gpu(replace(_other("the floor as a CUDA graph", batched.captured(floor.prepare)), ours=False)),
    "pot_loop": _pot("POT, ot.sinkhorn sample by sample", pot_loop.prepare, devices=("cpu",)),
    "pot_batch": _pot("POT, ot.batch, its default log domain, envelope", pot_batch.adapter("log_sinkhorn")),
    "pot_batch_exp": _pot("POT, ot.batch, exp domain, envelope", pot_batch.adapter("sinkhorn")),
    "pot_batch_last_step": _pot(
        "POT, ot.batch, autograd through the last iteration", pot_batch.adapter("log_sinkhorn", "last_step")
    ),
    "geomloss": Row(
        summary="GeomLoss, SamplesLoss, tensorized",
        prepare=geomloss.prepare,
        module="geomloss",
        distribution="geomloss",
        extra="aista[peers]",
    ),
    "flash_sinkhorn": Row(
        summary="FlashSinkhorn, SamplesLoss, a loop over samples",
        prepare=flash_sinkhorn.prepare,
        module="flash_sinkhorn",
        distribution="flash-sinkhorn",
        extra="aista[peers]",
        devices=("cuda",),
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
