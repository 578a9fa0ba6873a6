"""The weights of scaled dot-product attention, for those who need them or are faster with them."""

import torch
from torch import Tensor


def attention_weights(
    query: Tensor, key: Tensor, mask: Tensor | None = None, dtype: torch.dtype | None = None
) -> Tensor:
    """query [..., Q, C] and key [..., S, C] -> [..., Q, S], each row summing to one.

    mask: True where a query may look, or numbers that are added to the scores; dtype: of the softmax.
    """
    scores = query * query.shape[-1] ** -0.5 @ key.transpose(-2, -1)
    if mask is not None:
        scores = scores.masked_fill(~mask, -torch.inf) if mask.dtype == torch.bool else scores + mask
    return scores.softmax(-1, dtype=dtype)


def causal_mask(query: Tensor, key: Tensor) -> Tensor:
    """[Q, S], True where a query may look that looks back only."""
    return torch.ones(query.shape[-2], key.shape[-2], dtype=torch.bool, device=query.device).tril()
