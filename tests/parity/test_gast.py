"""The joint conversion of the MHFormer and Strided Transformer demos."""

import torch

from cascadepose.skeletons import COCO17


def test_joint_conversion(oracle):
    _, arrays = oracle("coco_to_h36m_mhformer_style")
    joints, scores, measured = COCO17.convert(arrays["in.coco"], arrays["in.score"], style="gast")
    torch.testing.assert_close(joints, arrays["out.h36m"], atol=1e-3, rtol=0)
    torch.testing.assert_close(scores, arrays["out.score"], atol=1e-6, rtol=0)
    assert measured.sum() == 12
