"""The joint sets that are known by name."""

from cascadepose.skeletons.skeleton import Skeleton

COCO17 = Skeleton(
    name="coco17",
    names=(
        "nose",
        "left_eye",
        "right_eye",
        "left_ear",
        "right_ear",
        "left_shoulder",
        "right_shoulder",
        "left_elbow",
        "right_elbow",
        "left_wrist",
        "right_wrist",
        "left_hip",
        "right_hip",
        "left_knee",
        "right_knee",
        "left_ankle",
        "right_ankle",
    ),
    parents=(-1, 0, 0, 1, 2, 0, 0, 5, 6, 7, 8, 5, 6, 11, 12, 13, 14),
    flip_pairs=((1, 2), (3, 4), (5, 6), (7, 8), (9, 10), (11, 12), (13, 14), (15, 16)),
    edges=(
        *((0, 1), (0, 2), (1, 2), (1, 3), (2, 4), (3, 5), (4, 6)),
        *((5, 6), (5, 7), (7, 9), (6, 8), (8, 10)),
        *((5, 11), (6, 12), (11, 12), (11, 13), (13, 15), (12, 14), (14, 16)),
    ),
    sigmas=(
        0.026,
        0.025,
        0.025,
        0.035,
        0.035,
        0.079,
        0.079,
        0.072,
        0.072,
        0.062,
        0.062,
        0.107,
        0.107,
        0.087,
        0.087,
        0.089,
        0.089,
    ),
)

_H36M_PARENTS = (-1, 0, 1, 2, 0, 4, 5, 0, 7, 8, 9, 8, 11, 12, 8, 14, 15)

H36M17 = Skeleton(
    name="h36m17",
    names=(
        "pelvis",
        "right_hip",
        "right_knee",
        "right_ankle",
        "left_hip",
        "left_knee",
        "left_ankle",
        "spine",
        "thorax",
        "nose",
        "head",
        "left_shoulder",
        "left_elbow",
        "left_wrist",
        "right_shoulder",
        "right_elbow",
        "right_wrist",
    ),
    parents=_H36M_PARENTS,
    flip_pairs=((4, 1), (5, 2), (6, 3), (11, 14), (12, 15), (13, 16)),
    edges=tuple((parent, joint) for joint, parent in enumerate(_H36M_PARENTS) if parent >= 0),
)

HALPE26 = Skeleton(
    name="halpe26",
    names=(
        *COCO17.names,
        *("head", "neck", "pelvis", "left_big_toe", "right_big_toe", "left_small_toe", "right_small_toe"),
        *("left_heel", "right_heel"),
    ),
    parents=(18, 0, 0, 1, 2, 18, 18, 5, 6, 7, 8, 19, 19, 11, 12, 13, 14, 18, 19, -1, 15, 16, 15, 16, 15, 16),
    flip_pairs=(*COCO17.flip_pairs, (20, 21), (22, 23), (24, 25)),
    edges=(
        *((0, 1), (0, 2), (1, 3), (2, 4), (17, 18), (0, 18), (18, 5), (18, 6), (5, 7), (7, 9), (6, 8), (8, 10)),
        *((18, 19), (19, 11), (19, 12), (11, 13), (13, 15), (12, 14), (14, 16)),
        *((15, 20), (15, 22), (15, 24), (16, 21), (16, 23), (16, 25)),
    ),
)

POSETRACK17 = Skeleton(
    name="posetrack17",
    names=("nose", "neck", "head", *COCO17.names[3:]),
    parents=(1, -1, 1, 0, 0, 1, 1, 5, 6, 7, 8, 5, 6, 11, 12, 13, 14),
    flip_pairs=COCO17.flip_pairs[1:],
    edges=((0, 1), (0, 2), (0, 3), (0, 4), (1, 5), (1, 6), *COCO17.edges[8:]),
)

_BODY = ("nose", "neck", *(f"right_{name}" for name in ("shoulder", "elbow", "wrist")))
_BODY += tuple(f"left_{name}" for name in ("shoulder", "elbow", "wrist"))
_FACE = ("right_eye", "left_eye", "right_ear", "left_ear")
_LEGS = tuple(f"{side}_{name}" for side in ("right", "left") for name in ("hip", "knee", "ankle"))

BODY25 = Skeleton(  # OpenPose's default
    name="body25",
    names=(
        *(*_BODY, "pelvis", *_LEGS, *_FACE),
        *("left_big_toe", "left_small_toe", "left_heel", "right_big_toe", "right_small_toe", "right_heel"),
    ),
    parents=(1, 8, 1, 2, 3, 1, 5, 6, -1, 8, 9, 10, 8, 12, 13, 0, 0, 15, 16, 14, 19, 14, 11, 22, 11),
    flip_pairs=(
        *((5, 2), (6, 3), (7, 4), (12, 9), (13, 10), (14, 11)),
        *((16, 15), (18, 17), (19, 22), (20, 23), (21, 24)),
    ),
    edges=(
        *((1, 8), (1, 2), (2, 3), (3, 4), (1, 5), (5, 6), (6, 7), (8, 9), (9, 10), (10, 11), (8, 12), (12, 13)),
        *((13, 14), (1, 0), (0, 15), (15, 17), (0, 16), (16, 18), (14, 19), (19, 20), (14, 21), (11, 22), (22, 23)),
        (11, 24),
    ),
)

OPENPOSE18 = Skeleton(  # OpenPose's COCO model: COCO's joints in another order, and a neck
    name="openpose18",
    names=(*_BODY, *_LEGS, *_FACE),
    parents=(1, -1, 1, 2, 3, 1, 5, 6, 1, 8, 9, 1, 11, 12, 0, 0, 14, 15),
    flip_pairs=((5, 2), (6, 3), (7, 4), (11, 8), (12, 9), (13, 10), (15, 14), (17, 16)),
    edges=(
        *((1, 2), (2, 3), (3, 4), (1, 5), (5, 6), (6, 7), (1, 8), (8, 9), (9, 10), (1, 11), (11, 12), (12, 13)),
        *((1, 0), (0, 14), (14, 16), (0, 15), (15, 17)),
    ),
)

_3DHP_PARENTS = (16, 15, 1, 2, 3, 1, 5, 6, 14, 8, 9, 14, 11, 12, -1, 14, 1)

MPI_INF_3DHP17 = Skeleton(  # the 17 of 28 joints that are evaluated, as P-STMO orders them
    name="mpi_inf_3dhp17",
    names=("head_top", *_BODY[1:], *_LEGS, "pelvis", "spine", "head"),
    parents=_3DHP_PARENTS,
    flip_pairs=((5, 2), (6, 3), (7, 4), (11, 8), (12, 9), (13, 10)),
    edges=tuple((parent, joint) for joint, parent in enumerate(_3DHP_PARENTS) if parent >= 0),
)

_HUMANEVA_PARENTS = (-1, 0, 1, 2, 3, 1, 5, 6, 0, 8, 9, 0, 11, 12, 1)

HUMANEVA15 = Skeleton(
    name="humaneva15",
    names=("pelvis", "thorax", *_BODY[5:], *_BODY[2:5], *_LEGS[3:], *_LEGS[:3], "head"),
    parents=_HUMANEVA_PARENTS,
    flip_pairs=((2, 5), (3, 6), (4, 7), (8, 11), (9, 12), (10, 13)),
    edges=tuple((parent, joint) for joint, parent in enumerate(_HUMANEVA_PARENTS) if parent >= 0),
)

_MPII_PARENTS = (1, 2, 6, 6, 3, 4, -1, 6, 7, 8, 11, 12, 7, 7, 13, 14)

MPII16 = Skeleton(
    name="mpii16",
    names=(
        *(*_LEGS[2::-1], *_LEGS[3:], "pelvis", "thorax", "neck", "head_top"),
        *("right_wrist", "right_elbow", "right_shoulder", "left_shoulder", "left_elbow", "left_wrist"),
    ),
    parents=_MPII_PARENTS,
    flip_pairs=((5, 0), (4, 1), (3, 2), (15, 10), (14, 11), (13, 12)),
    edges=tuple((parent, joint) for joint, parent in enumerate(_MPII_PARENTS) if parent >= 0),
)

SKELETONS = {
    skeleton.name: skeleton
    for skeleton in (*(COCO17, H36M17, HALPE26, POSETRACK17, BODY25, OPENPOSE18, MPI_INF_3DHP17, HUMANEVA15, MPII16),)
}
