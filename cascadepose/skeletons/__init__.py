"""Joint sets: their names, relations and OKS constants, the linear maps between them, and how to declare another."""

from cascadepose.skeletons.declared import declaration, declare, find_skeleton, stated_skeleton
from cascadepose.skeletons.joint_sets import (
    BODY25,
    COCO17,
    H36M17,
    HALPE26,
    HUMANEVA15,
    MPI_INF_3DHP17,
    MPII16,
    OPENPOSE18,
    POSETRACK17,
    SKELETONS,
)
from cascadepose.skeletons.skeleton import Skeleton

__all__ = [
    "BODY25",
    "COCO17",
    "H36M17",
    "HALPE26",
    "HUMANEVA15",
    "MPII16",
    "MPI_INF_3DHP17",
    "OPENPOSE18",
    "POSETRACK17",
    "SKELETONS",
    "Skeleton",
    "declaration",
    "declare",
    "find_skeleton",
    "stated_skeleton",
]
