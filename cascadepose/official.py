"""The official checkpoints that are known by name: where they are from, their licence, how their tensors are packed.

None of them comes with this package, and none is downloaded: get the file from its origin, then
`cascadepose convert FILE --from FAMILY`, or `load_model(NAME, checkpoint=FILE)`. `licence` is the one that the origin
states for its repository; "none stated" means that all rights are reserved.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

__all__ = ["OFFICIAL_FILES", "OfficialFile", "official_file"]

APACHE, MIT, NON_COMMERCIAL, NONE = "Apache-2.0", "MIT", "CC BY-NC 4.0", "none stated"
GITHUB = "https://github.com"
POSEFORMER, STRIDED = f"{GITHUB}/zczcwh/PoseFormer", f"{GITHUB}/Vegetebird/StridedTransformer-Pose3D"
CPN, TRUE, HOURGLASS = "Human3.6M, 2D of CPN", "Human3.6M, true 2D", "Human3.6M, 2D of Stacked Hourglass"
MOTION = "Human3.6M, AMASS, PoseTrack, InstaVariety"


@dataclass(frozen=True)
class OfficialFile:
    """One published checkpoint.

    name: for `load_model`. family: see `cascadepose.models.upstream`. file: the name it is published under. container:
    the key that holds its tensors, "" for none. hints: what its tensors' shapes cannot tell.
    """

    name: str
    family: str
    file: str
    origin: str
    licence: str
    container: str
    trained_on: str
    hints: dict[str, Any] = field(default_factory=dict)


def official_file(name: str) -> OfficialFile | None:
    """The known file of this name or file name, None if there is none."""
    return next((known for known in OFFICIAL_FILES if name in (known.name, known.file)), None)


def _detr(name: str, file: str, dilation: bool = False) -> OfficialFile:
    origin = f"https://dl.fbaipublicfiles.com/detr/{file}"
    return OfficialFile(name, "detr", file, origin, APACHE, "model", "COCO train2017", {"dilation": dilation})


def _prtr(data: str, backbone: str, height: int, width: int, deformable: bool = False) -> OfficialFile:
    """Under the name of its data, backbone and crop height; ResNets were fed BGR, which translation knows."""
    family, prefix = ("prtr-deformable", "deform_") if deformable else ("prtr", "")
    file = f"{prefix}pose_transformer_{backbone}_{height}x{width}.pth"
    name = f"{family}-{backbone.replace('_', '-')}-{data.lower()}-{height}"
    hints = {"image_hw": [height, width]}
    return OfficialFile(name, family, file, f"{GITHUB}/mlpc-ucsd/PRTR", APACHE, "", f"{data} train", hints)


def _v2(kept: int, frames: int, error: float) -> OfficialFile:
    """Files are named by kept frames, window and published error in millimetres."""
    origin = f"{GITHUB}/QitaoZhao/PoseFormerV2"
    name = f"poseformerv2-{frames}-{kept}"
    hints = {"number_of_frames": frames}
    return OfficialFile(name, "poseformerv2", f"{kept}_{frames}_{error}.bin", origin, MIT, "model_pos", CPN, hints)


def _motionbert(name: str, folder: str, file: str, data: str) -> OfficialFile:
    """All files of one name: the folder tells them apart."""
    file = f"checkpoint/{folder}/{file}"
    origin = f"https://huggingface.co/walterzhu/MotionBERT/blob/main/{file}"
    return OfficialFile(name, "motionbert", file, origin, APACHE, "model_pos", data)


def _videopose3d(name: str, file: str, data: str, **hints: Any) -> OfficialFile:
    origin = f"https://dl.fbaipublicfiles.com/video-pose-3d/{file}"
    return OfficialFile(name, "videopose3d", file, origin, NON_COMMERCIAL, "model_pos", data, hints)


OFFICIAL_FILES: tuple[OfficialFile, ...] = (
    _detr("detr-r50", "detr-r50-e632da11.pth"),
    _detr("detr-r50-dc5", "detr-r50-dc5-f0fb7ef5.pth", dilation=True),
    _detr("detr-r101", "detr-r101-2c7b67e5.pth"),
    _detr("detr-r101-dc5", "detr-r101-dc5-a2e86def.pth", dilation=True),
    *(_prtr("COCO", name, *size) for name in ("res50", "res101", "hrnet_w32") for size in ((384, 288), (512, 384))),
    *(_prtr("COCO", name, 384, 288, deformable=True) for name in ("res50", "res101")),
    *(_prtr("MPII", name, side, side) for name in ("res50", "res101") for side in (256, 384, 512)),
    *(_prtr("MPII", name, side, side) for name in ("res152", "hrnet_w32") for side in (256, 384)),
    OfficialFile("poseformer-81", "poseformer", "detected81f.bin", POSEFORMER, NONE, "model_pos", CPN),
    OfficialFile("poseformer-81-gt", "poseformer", "gt81f.bin", POSEFORMER, NONE, "model_pos", TRUE),
    *(
        _v2(*row)
        for row in ((1, 27, 48.7), (3, 27, 47.9), (1, 81, 47.6), (3, 81, 47.1), (9, 81, 46.0), (27, 243, 45.2))
    ),
    OfficialFile("strided-351", "strided", "351/no_refine_*.pth", STRIDED, MIT, "", CPN, {"stride_num": [3, 9, 13]}),
    OfficialFile("strided-351-refine", "strided-refine", "351/refine_*.pth", STRIDED, MIT, "", CPN),
    _motionbert("motionbert-pretrained", "pretrain/MB_release", "latest_epoch.bin", MOTION),
    _motionbert("motionbert-lite-pretrained", "pretrain/MB_lite", "latest_epoch.bin", MOTION),
    _motionbert("motionbert-h36m-scratch", "pose3d/MB_train_h36m", "best_epoch.bin", HOURGLASS),
    _motionbert("motionbert-h36m", "pose3d/FT_MB_release_MB_ft_h36m", "best_epoch.bin", HOURGLASS),
    _motionbert("motionbert-lite-h36m", "pose3d/FT_MB_lite_MB_ft_h36m_global_lite", "best_epoch.bin", HOURGLASS),
    _videopose3d("videopose3d-243", "pretrained_h36m_cpn.bin", CPN),
    _videopose3d(
        "videopose3d-243-coco",
        "pretrained_h36m_detectron_coco.bin",
        "Human3.6M, 2D of Detectron in COCO joints",
        seen_skeleton="coco17",
    ),
    _videopose3d("videopose3d-humaneva-27", "pretrained_humaneva15_detectron.bin", "HumanEva-I, 2D of Detectron"),
)
