"""The joint conversion of the MHFormer and Strided Transformer demos, as tensors and as to what it makes up."""

import numpy as np
import torch

from cascadepose.normalization import lend_legs
from cascadepose.skeletons import COCO17


def test_joint_conversion_of_tensors(oracle):
    _, arrays = oracle("coco_to_h36m_mhformer_style")
    joints, scores, measured = COCO17.convert(arrays["in.coco"], arrays["in.score"], style="gast")
    torch.testing.assert_close(joints, arrays["out.h36m"], atol=1e-3, rtol=0)
    torch.testing.assert_close(scores, arrays["out.score"], atol=1e-6, rtol=0)
    assert measured.sum() == 12


def test_doubtful_legs():
    """Knee and ankle go to the hip, an ankle alone to its knee; a knee alone stays, as published."""
    joints = np.arange(17.0)[None, :, None].repeat(4, 0)
    scores = np.ones((4, 17))
    scores[0, [2, 3, 5, 6]], scores[1, [2, 3, 6]], scores[2, 5], scores[3, [3]] = 0, 0, 0, 0.3
    lent = lend_legs(joints, scores)[..., 0]
    assert lent[0, 1:7].tolist() == [1, 1, 1, 4, 4, 4]
    assert lent[1, 1:7].tolist() == [1, 1, 1, 4, 5, 5]
    assert (lent[2:] == np.arange(17)).all()
