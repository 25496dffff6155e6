"""CTC forced alignment: frames of the tokens of known transcripts on the best path."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from aista.types import length_mask, zero_padding

__all__ = ["TokenSpans", "align_tokens"]

_NEVER = float("-inf")


class TokenSpans(NamedTuple):
    """Frames of each token of a padded batch; 0 after a row's last token.

    Attributes:
        first: ``[B, T]`` its first frame.
        end: ``[B, T]`` the frame after its last one.
        posterior: ``[B, T]`` mean probability of the token over its frames.
        score: ``[B]`` log-probability of the best path; -inf where no path spells the transcript (``min_frames``).
    """

    first: Tensor
    end: Tensor
    posterior: Tensor
    score: Tensor


@torch.no_grad()
def align_tokens(log_probs: Tensor, lengths: Tensor, tokens: Tensor, token_lengths: Tensor) -> TokenSpans:
    r"""Find the frames of each token on the most probable path of the transcript; the blank is the last class.

    Over the states ``e = (blank, y_1, blank, y_2, ..., y_T, blank)``, as in Graves et al. 2006:
    ``a_s(n) = log p_s(e_n) + max(a_{s-1}(n), a_{s-1}(n-1), a_{s-1}(n-2) if e_n is a token other than e_{n-2})``. The
    path ends in one of the last two states and is traced back; where predecessors are equal, a state is kept rather
    than changed. A row's result does not depend on the other rows.

    Cost: ``S`` steps over ``[B, 2 T + 1]`` numbers, one byte for each in memory. torchaudio's ``forced_align`` does the
    same for one row at a time and is deprecated.

    Args:
        log_probs: ``[B, S, V + 1]``, normalised over the last dimension.
        lengths: ``[B]`` frames, at least 1.
        tokens: ``[B, T]`` ids in 0..V-1.
        token_lengths: ``[B]``; a row without tokens has no spans.
    """
    blank = log_probs.size(-1) - 1
    states_BN = _states(zero_padding(tokens, token_lengths), blank)
    scores_BSN = log_probs.gather(2, states_BN[:, None].expand(-1, log_probs.size(1), -1))
    path_BS, score_B = _best_path(scores_BSN, _skips(states_BN, blank), lengths, token_lengths)
    inside_BS = length_mask(lengths, log_probs.size(1)) & (path_BS % 2 == 1) & score_B.isfinite()[:, None]
    posterior_BS = scores_BSN.gather(2, path_BS[..., None]).squeeze(2).exp()
    return TokenSpans(*_spans(path_BS // 2, inside_BS, posterior_BS, tokens.size(1)), score_B)


def _states(tokens: Tensor, blank: int) -> Tensor:
    """``[B, T]`` -> ``[B, 2 T + 1]``: a blank before, between and behind the tokens."""
    states_BN = tokens.new_full((tokens.size(0), 2 * tokens.size(1) + 1), blank)
    states_BN[:, 1::2] = tokens
    return states_BN


def _skips(states: Tensor, blank: int) -> Tensor:
    """``[B, N]`` whether a path may come from two states before: over a blank, between different tokens."""
    skips_BN = torch.zeros_like(states, dtype=torch.bool)
    skips_BN[:, 2:] = (states[:, 2:] != blank) & (states[:, 2:] != states[:, :-2])
    return skips_BN


def _best_path(scores: Tensor, skips: Tensor, lengths: Tensor, token_lengths: Tensor) -> tuple[Tensor, Tensor]:
    """``[B, S]`` states of the best path, from ``[B, S, N]`` log-probabilities, and its ``[B]`` score."""
    num_rows, num_frames = scores.shape[:2]
    rows = torch.arange(num_rows, device=scores.device)
    best_BN = torch.full_like(scores[:, 0], _NEVER)
    best_BN[:, :2] = scores[:, 0, :2]
    last_BN, steps = best_BN, []
    for frame in range(1, num_frames):
        step_BN = torch.zeros_like(best_BN, dtype=torch.uint8)
        came_BN = best_BN
        for by in (1, 2):
            other_BN = _shifted(best_BN, by) if by == 1 else _shifted(best_BN, by).masked_fill(~skips, _NEVER)
            is_better = other_BN > came_BN
            came_BN, step_BN = torch.where(is_better, other_BN, came_BN), step_BN.masked_fill(is_better, by)
        best_BN = came_BN + scores[:, frame]
        steps.append(step_BN)
        last_BN = torch.where((lengths == frame + 1)[:, None], best_BN, last_BN)
    final = 2 * token_lengths
    ends_B2 = torch.stack([final, (final - 1).clamp_min(0)], dim=1)
    score_B, which_B = last_BN.gather(1, ends_B2).max(1)
    state_B = ends_B2[rows, which_B]
    path = [state_B]
    for frame in range(num_frames - 1, 0, -1):
        step_B = steps[frame - 1][rows, state_B].long()
        state_B = torch.where(frame < lengths, state_B - step_B, state_B)
        path.append(state_B)
    return torch.stack(path[::-1], dim=1), score_B


def _shifted(values: Tensor, by: int) -> Tensor:
    """``[B, N]`` values of the states ``by`` places before."""
    return torch.nn.functional.pad(values, (by, 0), value=_NEVER)[:, : values.size(1)]


def _spans(token: Tensor, inside: Tensor, posterior: Tensor, num_tokens: int) -> tuple[Tensor, Tensor, Tensor]:
    """First frame, frame behind the last, and mean posterior of each token, from the token of each frame."""
    num_rows, num_frames = token.shape
    index_BS = token.clamp(max=max(num_tokens - 1, 0))
    frame_BS = torch.arange(num_frames, device=token.device).expand(num_rows, -1)
    shape = (num_rows, max(num_tokens, 1))
    count_BT = torch.zeros(shape, dtype=torch.int64, device=token.device).scatter_add_(1, index_BS, inside.long())
    first_BT = torch.full_like(count_BT, num_frames).scatter_reduce_(
        1, index_BS, torch.where(inside, frame_BS, num_frames), "amin"
    )
    end_BT = torch.zeros_like(count_BT).scatter_reduce_(1, index_BS, torch.where(inside, frame_BS + 1, 0), "amax")
    total_BT = torch.zeros(shape, dtype=posterior.dtype, device=token.device).scatter_add_(
        1, index_BS, posterior.masked_fill(~inside, 0)
    )
    is_token = count_BT > 0
    mean_BT = total_BT / count_BT.clamp_min(1)
    return first_BT.masked_fill(~is_token, 0)[:, :num_tokens], end_BT[:, :num_tokens], mean_BT[:, :num_tokens]
