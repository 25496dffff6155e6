"""All rows by name."""

from __future__ import annotations

from benchmarks.ot.rows import floor, geomloss, ott_jax, own, pot_batch, pot_loop, unrolled
from benchmarks.ot.rows.base import Row

__all__ = ["FLOOR", "ROWS"]

FLOOR = "floor"
_PEERS = "aista[peers]"

ROWS = {
    FLOOR: Row(summary="norms and three padded matrix products", prepare=floor.prepare),
    "sinkhorn": Row(
        summary="aista's default", prepare=own.entropic(), ours=True, value_bound=1e-5, gradient_bound=1e-3
    ),
    "sinkhorn_detached": Row(
        summary="aista, gradient by the speech side alone",
        prepare=own.entropic(text=False),
        ours=True,
        value_bound=1e-5,
        gradient_bound=1e-3,
    ),
    "sinkhorn_unpolished": Row(summary="aista without the Newton step", prepare=own.entropic(polish=False), ours=True),
    "pot_loop": Row(
        summary="POT, ot.sinkhorn sample by sample", prepare=pot_loop.prepare, module="ot", distribution="POT"
    ),
    "pot_batch": Row(
        summary="POT, ot.batch, its default log domain, envelope",
        prepare=pot_batch.adapter("log_sinkhorn"),
        module="ot",
        distribution="POT",
    ),
    "pot_batch_exp": Row(
        summary="POT, ot.batch, exp domain, envelope",
        prepare=pot_batch.adapter("sinkhorn"),
        module="ot",
        distribution="POT",
    ),
    "geomloss": Row(
        summary="GeomLoss, SamplesLoss, tensorized",
        prepare=geomloss.prepare,
        module="geomloss",
        distribution="geomloss",
        extra=_PEERS,
    ),
    "ott_jax": Row(
        summary="OTT-JAX, jit and vmap, kernel mode",
        prepare=ott_jax.prepare,
        module="ott",
        distribution="ott-jax",
        extra=_PEERS,
    ),
    "unrolled": Row(summary="plain torch, log domain, autograd through all iterations", prepare=unrolled.prepare),
}
