"""The geometry of pooled states: linear CKA, mean cosine, effective rank.

Functions of pairs of utterances take ``counts_RN``, how often each utterance counts in each of R resamples.
A pair is always two *different* utterances: an utterance that was drawn twice is not a pair with itself, which
would raise every such mean by the resampling alone.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

__all__ = ["effective_rank", "linear_cka", "mean_cosine", "resolvent_rank"]

ROUNDING = 1e-6  # of the states' norm: rounding of fp32 along a direction in which states do not differ

EXPONENTS = range(-10, 8)  # of the powers of 10 at which resolvents are taken, of a Gram matrix of trace 1

NOTHING = 1e-12  # an HSIC that is rounding; the kernels' diagonals are 1 on average


def linear_cka(x_ND: Tensor, y_ND: Tensor, counts_RN: Tensor | None = None) -> Tensor:
    """Debiased linear centred kernel alignment of two sets of states whose rows are pairs.

    ``CKA = HSIC(K, L) / sqrt(HSIC(K, K) HSIC(L, L))`` with ``K = X X^T``, ``L = Y Y^T`` (Kornblith et al. 2019,
    arXiv 1905.00414). It does not change under rotations and common scaling of either side. The plain estimator
    approaches 1 for *unrelated* states with more channels than utterances; the debiased one takes the unbiased HSIC
    (Song et al. 2012, JMLR 13; Nguyen et al. 2021, arXiv 2010.15327), is about 0 for them, and may fall below 0.

    Choose it where both modalities may encode the same content in rotated coordinates; retrieval needs the same ones.

    Args:
        x_ND: ``[N, D]``; N is at least 4.
        y_ND: ``[N, E]``.
        counts_RN: ``[R, N]`` resamples; None: each utterance once.

    Returns:
        ``[R]`` fp64, or ``[1]`` without counts; 0 where a side does not vary, NaN for resamples of fewer than four
        different utterances.
    """
    if len(x_ND) != len(y_ND) or len(x_ND) < 4:
        raise ValueError(f"expects at least 4 pairs, got {len(x_ND)} and {len(y_ND)} states")
    counts = x_ND.new_ones(1, len(x_ND), dtype=torch.float64) if counts_RN is None else counts_RN
    k, m = (_gram(states).fill_diagonal_(0) for states in (x_ND, y_ND))
    return _ratio(_hsic(k, m, counts), _hsic(k, k, counts), _hsic(m, m, counts))


def mean_cosine(x_ND: Tensor, counts_RN: Tensor | None = None) -> Tensor:
    """Mean cosine of two different utterances' states; near 1: the states fill a narrow cone (Ethayarajh 2019).

    Returns:
        ``[R]`` fp64, or ``[1]`` without counts (arXiv 1909.00512); NaN for resamples of one utterance alone.
    """
    unit_ND = torch.nn.functional.normalize(x_ND.double(), dim=1)
    cosine_NN = (unit_ND @ unit_ND.T).fill_diagonal_(0)
    counts = x_ND.new_ones(1, len(x_ND), dtype=torch.float64) if counts_RN is None else counts_RN
    pairs_R = counts.sum(dim=1).square() - counts.square().sum(dim=1)
    return ((counts @ cosine_NN) * counts).sum(dim=1) / pairs_R


def effective_rank(x_ND: Tensor) -> Tensor:
    """``exp(H(p))``, ``p`` the singular values of the centred states over their sum (Roy and Vetterli 2007).

    How many directions the states spread over: at most min(N - 1, D), 1 for a line, 0 where they do not vary
    (up to the rounding of fp32), NaN where they are not finite or the eigenvalues do not converge, so that a measure
    never ends a training. Leading dimensions are batched. It has no bootstrap interval: a resample repeats utterances,
    which alone lowers the rank.
    """
    x_ND = x_ND.double()
    size = x_ND.square().sum(dim=(-2, -1)).sqrt()
    centred = x_ND - x_ND.mean(dim=-2, keepdim=True)
    gram = centred @ centred.mT if centred.shape[-2] <= centred.shape[-1] else centred.mT @ centred
    is_finite = gram.isfinite().all(dim=(-2, -1))
    try:
        values = torch.linalg.eigvalsh(torch.where(is_finite[..., None, None], gram, 0)).clamp_min(0).sqrt()
    except torch.linalg.LinAlgError:  # type: ignore[attr-defined]
        return torch.full_like(size, torch.nan)
    values = torch.where(values > ROUNDING * size[..., None], values, 0)
    total = values.sum(dim=-1, keepdim=True)
    share = values / torch.where(total > 0, total, 1)
    entropy = -torch.xlogy(share, share).sum(dim=-1)
    return torch.where(total[..., 0] > 0, entropy.exp(), 0).where(is_finite, torch.nan)


def resolvent_rank(x_ND: Tensor) -> Tensor:
    """Approximate ``effective_rank`` to about 0.2 % by sums and Cholesky factors, without a GPU synchronisation.

    With ``r(s) = tr K (K + s)^-1`` of the centred Gram matrix K, scaled to trace 1, sums over singular values are
    integrals over ``u = log s``:

        sum_i sigma_i               = 1/pi  int   exp(u / 2) r(exp(u)) du
        sum_i sigma_i log(sigma_i)  = 1/2pi int u exp(u / 2) r(exp(u)) du

    by the resolvent's formula for powers of a matrix (Higham 2008, "Functions of Matrices", section 1.10) and its
    derivative by the power. The integrands are smooth in u and die out, so that one node per power of 10 is enough.
    Choose it in training on a GPU, where an eigenvalue solver would stop the host for its convergence flag; on the CPU
    ``effective_rank`` is faster.
    """
    x_ND = x_ND.double()
    size = x_ND.square().sum(dim=(-2, -1)).sqrt()
    centred = x_ND - x_ND.mean(dim=-2, keepdim=True)
    spread = centred.square().sum(dim=(-2, -1)).sqrt()
    varies = spread > ROUNDING * size
    centred = centred / torch.where(varies, spread, 1)[..., None, None]
    gram = centred @ centred.mT if centred.shape[-2] <= centred.shape[-1] else centred.mT @ centred
    eye = torch.eye(gram.shape[-1], dtype=gram.dtype, device=gram.device)
    u_K = torch.arange(EXPONENTS.start, EXPONENTS.stop, dtype=gram.dtype, device=gram.device) * math.log(10)
    factors, _ = torch.linalg.cholesky_ex(gram[..., None, :, :] + u_K.exp()[:, None, None] * eye)
    traces = torch.linalg.solve_triangular(factors, eye, upper=False).square().sum(dim=(-2, -1))
    weights = (u_K / 2).exp() * (len(eye) - u_K.exp() * traces)
    total = weights.sum(dim=-1)
    entropy = (total * math.log(10) / math.pi).log() - (weights * u_K).sum(dim=-1) / (2 * total)
    return torch.where(varies, entropy.exp(), 0).where(size.isfinite(), torch.nan)


def _gram(x_ND: Tensor) -> Tensor:
    # HSIC does not depend on mean and scale; without them the products keep their digits.
    x_ND = x_ND.double()
    centred = x_ND - x_ND.mean(dim=0)
    size, scale = x_ND.norm(), centred.norm()
    centred = torch.where(scale > ROUNDING * size, centred / torch.where(scale > 0, scale, 1), 0)
    return len(x_ND) * centred @ centred.T


def _ratio(cross: Tensor, own_x: Tensor, own_y: Tensor) -> Tensor:
    flat = (own_x <= NOTHING) | (own_y <= NOTHING)  # not where they are NaN
    return torch.where(flat, 0, cross / torch.where(flat, 1, own_x * own_y).sqrt())


def _hsic(k_NN: Tensor, m_NN: Tensor, w_RN: Tensor) -> Tensor:
    """Unbiased HSIC of each resample: a U-statistic over four different utterances i, j, q, r, weighted by counts.

    ``E[K_ij M_ij + K_ij M_qr - 2 K_ij M_iq]``; both kernels have a zero diagonal. All three terms take the same
    weights ``w_i w_j w_q w_r``: otherwise a shift of the states would change the value. Sums over different indices
    are those over all indices, less those in which two are equal. With ``p_a = sum_i w_i^a``:

        pairs(a, b)    = sum_ij  w_i^a w_j^b K_ij M_ij
        chain(a, b, c) = sum_ijq w_i^a w_j^b w_q^c K_ij M_iq
        apart(a, b, c) = chain(a, b, c) - pairs(a, b + c)               where j and q differ

        sum K_ij M_ij = (p_1^2 - p_2) pairs(1, 1) - 4 p_1 pairs(2, 1) + 4 pairs(3, 1) + 2 pairs(2, 2)
        sum K_ij M_qr = (sum_ij w_i w_j K_ij) (sum_qr w_q w_r M_qr) - 4 chain(2, 1, 1) + 2 pairs(2, 2)
        sum K_ij M_iq = p_1 apart(1, 1, 1) - apart(2, 1, 1) - apart(1, 2, 1) - apart(1, 1, 2)
    """
    w = {power: w_RN.pow(power) for power in (1, 2, 3)}
    wk, wm = ({power: w[power] @ kernel for power in (1, 2)} for kernel in (k_NN, m_NN))
    wkm = {power: w[power] @ (k_NN * m_NN) for power in (1, 2, 3)}

    def pairs(a: int, b: int) -> Tensor:
        return (w[a] * wkm[b]).sum(dim=1)

    def chain(a: int, b: int, c: int) -> Tensor:
        return (w[a] * wk[b] * wm[c]).sum(dim=1)

    def apart(a: int, b: int, c: int) -> Tensor:
        return chain(a, b, c) - pairs(a, b + c)

    p1, p2 = w[1].sum(dim=1), w[2].sum(dim=1)
    two = (p1**2 - p2) * pairs(1, 1) - 4 * p1 * pairs(2, 1) + 4 * pairs(3, 1) + 2 * pairs(2, 2)
    four = (wk[1] * w[1]).sum(dim=1) * (wm[1] * w[1]).sum(dim=1) - 4 * chain(2, 1, 1) + 2 * pairs(2, 2)
    three = p1 * apart(1, 1, 1) - apart(2, 1, 1) - apart(1, 2, 1) - apart(1, 1, 2)
    weight = _quadruples(w_RN)
    return torch.where(weight > 0, (two + four - 2 * three) / weight, torch.nan)


def _quadruples(w_RN: Tensor) -> Tensor:
    """Weight of all ordered quadruples of different utterances (Newton's identities)."""
    p1, p2, p3, p4 = (w_RN.pow(power).sum(dim=1) for power in (1, 2, 3, 4))
    return p1**4 - 6 * p1**2 * p2 + 8 * p1 * p3 + 3 * p2**2 - 6 * p4
