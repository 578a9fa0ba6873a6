from itertools import permutations

import pytest
import torch

from cascadepose.losses.matching import hungarian, keypoint_cost


def test_cheapest_assignment_of_every_problem():
    torch.manual_seed(0)
    cost = torch.rand(3, 5, 4)
    counts = [4, 0, 2]
    matches = hungarian(cost, counts)
    for problem, count in enumerate(counts):
        mine = matches.problem == problem
        assert sorted(matches.target[mine].tolist()) == list(range(count))
        total = cost[problem][matches.query[mine], matches.target[mine]].sum().item()
        best = min(sum(cost[problem, q, t].item() for t, q in enumerate(p)) for p in permutations(range(5), count))
        assert total == pytest.approx(best)


def test_one_to_many_gives_every_target_its_queries():
    matches = hungarian(torch.rand(1, 12, 2), [2], repeats=3)
    assert torch.bincount(matches.target).tolist() == [3, 3]
    assert len(set(matches.query.tolist())) == 6
    few = hungarian(torch.rand(1, 5, 2), [2], repeats=6)  # more repeats than queries
    assert torch.bincount(few.target).tolist() == [2, 2]


def test_nan_is_named():
    with pytest.raises(ValueError, match="not finite"):
        hungarian(torch.full((1, 2, 2), float("nan")), [2])


def test_unwanted_joints_do_not_move_the_others():
    torch.manual_seed(0)
    logits, points, targets = torch.randn(1, 6, 5), torch.rand(1, 6, 2), torch.rand(1, 4, 2)
    wanted = torch.tensor([[True, False, True, False]])
    matches = hungarian(keypoint_cost(logits, points, targets, wanted), [4])
    pair = keypoint_cost(logits, points, targets, torch.ones(1, 4, dtype=torch.bool))[0][:, [0, 2]]
    best = min((pair[a, 0] + pair[b, 1]).item() for a, b in permutations(range(6), 2))
    chosen = {t: q for q, t in zip(matches.query.tolist(), matches.target.tolist(), strict=True)}
    assert (pair[chosen[0], 0] + pair[chosen[2], 1]).item() == pytest.approx(best)
