"""Masked pre-training of DSTformer (MotionBERT, Zhu et al., ICCV 2023, section 3.3) for `train.fit`.

The network recovers 3D motion from 2D motion with noise and holes. Its answers are in normalised image units, not in
metres: the weights are a start for fine-tuning (`task.weights` of the lifter task), not a lifter.
"""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from cascadepose.errors import InputError


@dataclass
class PretrainTaskConfig:
    """What to pre-train on what."""

    model: dict = field(default_factory=dict)
    """Keyword arguments of DSTformer; window, normalisation and rate are those below."""
    train_motion: str = "data/cmu_h36m17_60fps_train.npz"
    """npz of [T,17,3] sequences in metres, y up, to train on."""
    val_motion: str = "data/cmu_h36m17_60fps_val.npz"
    """The same, for choosing the best weights."""
    source_rate: float = 60.0
    """Frames per second of both."""
    tracks: list[str] = field(default_factory=list)
    """Results of `cascadepose infer` on videos without 3D truth, files or folders; their 2D tracks are learned from."""
    tracks_from_epoch: int = 30
    """Epochs of 3D motion alone, before the tracks join."""
    frame_rate: float = 25.0
    """Frames per second of a clip."""
    num_frames: int = 243
    """Frames of a clip, the longest that the model will take."""
    mask_ratio: float = 0.05
    """Share of joints to blank, drawn for each clip and frame."""
    mask_frame_ratio: float = 0.10
    """Share of frames to blank, drawn for the batch."""
    noise: bool = True
    """Detector-like noise on the 2D input of 3D motion; tracks have their own."""
    scale_weight: float = 0.5
    """Weight of N-MPJPE beside MPJPE."""
    velocity_weight: float = 20.0
    """Weight of the velocity loss."""
    tracks_weight: float = 1.0
    """Weight of the 2D re-projection loss of the tracks."""
    epoch_length: int | None = None
    """Clips in an epoch; null is all of them once."""


class PretrainTask:
    """The training loop's view of pre-training. Metrics in thousandths of a normalised image unit."""

    name = "pretrain"
    metric = "mpjpe_corrupted"
    mode = "min"
    sample_weights = None

    def __init__(self, config: PretrainTaskConfig):
        from cascadepose.data.corruption import Corruption
        from cascadepose.data.motion import MotionDataset, load_motion
        from cascadepose.data.pretraining import PretrainingDataset

        self.config = config
        self.epoch_length = config.epoch_length
        self.epoch = 0
        self.model = _fresh_model(config)
        self.corruption = Corruption(config.mask_ratio, config.mask_frame_ratio)
        settings = {"frame_rate": config.frame_rate, "source_rate": config.source_rate, "num_frames": config.num_frames}
        tracks = _load_tracks(config.tracks, config.frame_rate)
        train = MotionDataset(load_motion(config.train_motion), stride=max(config.num_frames // 3, 1), **settings)
        self.train_set = PretrainingDataset(train, tracks)
        val = MotionDataset(load_motion(config.val_motion), stride=config.num_frames, **settings)
        self.val_set = PretrainingDataset(val)

    def collate(self, samples: list[dict[str, np.ndarray]]) -> dict[str, Tensor]:
        """x and joints [B, T, 17, 3], and x_2d [B, T, 17, 3] where there are tracks."""
        return {name: torch.from_numpy(np.stack([sample[name] for sample in samples])) for name in samples[0]}

    def losses(self, model: nn.Module, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Total and parts, in normalised image units."""
        from cascadepose.losses.lifting import lifting_losses, reprojection

        config, count = self.config, len(batch["x"])
        x = self.corruption(batch["x"], noise=config.noise)
        # one pass for both kinds of clips, where the published code takes a turn with each: every step sees both
        with_tracks = "x_2d" in batch and self.epoch >= config.tracks_from_epoch
        if with_tracks:
            x = torch.cat([x, self.corruption(batch["x_2d"], noise=False)])
        pred = model(x).float()
        parts = lifting_losses(
            pred[:count], batch["joints"], scale_weight=config.scale_weight, velocity_weight=config.velocity_weight
        )
        if with_tracks:
            seen = batch["x_2d"]
            keypoints = seen[..., :2] - seen[..., :1, :2]
            parts["reprojection"] = reprojection(pred[count:], keypoints, seen[..., 2])
            parts["loss"] = parts["loss"] + config.tracks_weight * parts["reprojection"]
        return parts

    def parameter_groups(self, lr: float, weight_decay: float) -> list[dict]:
        """Matrices decay; biases, norms and position embeddings do not."""
        from cascadepose.tasks.finetuning import parameter_groups

        return parameter_groups(self.model, lr, weight_decay)

    @torch.no_grad()
    def validate(self, model: nn.Module) -> dict[str, float]:
        """MPJPE of clean and of corrupted clips, the same corruption every time."""
        from cascadepose.losses.lifting import mpjpe

        device = next(model.parameters()).device
        batch = self.collate([self.val_set[i] for i in range(len(self.val_set))])
        generator = torch.Generator().manual_seed(0)
        corrupted = self.corruption(batch["x"], noise=self.config.noise, generator=generator)
        metrics = {}
        for name, x in (("clean", batch["x"]), ("corrupted", corrupted)):
            pred = torch.cat([model(part.to(device)).float().cpu() for part in x.split(16)])
            metrics[f"mpjpe_{name}"] = 1000 * mpjpe(pred - pred[..., :1, :], batch["joints"]).item()
        return metrics

    def new_epoch(self, epoch: int) -> None:
        """Remember whether the tracks have joined."""
        self.epoch = epoch

    def save(self, model: nn.Module, path: Path, info: dict) -> None:
        """Write a weights file."""
        from cascadepose import hub

        hub.save_model(model, path, "dstformer", info)


def _fresh_model(config: PretrainTaskConfig) -> nn.Module:
    from cascadepose import models

    settings = {"maxlen": config.num_frames, "normalization": "crop_scale", "unit": "image"}
    settings["frame_rate"] = config.frame_rate
    try:
        return models.build("dstformer", **(settings | config.model))
    except (TypeError, ValueError) as error:
        raise InputError(f"task.model: a dstformer cannot be built from it: {error}") from None


def _load_tracks(paths: list[str], rate: float) -> list[np.ndarray]:
    """COCO-17 keypoints and scores [T, 17, 3] of every track in the results, at `rate`."""
    from cascadepose.data.pretraining import at_rate
    from cascadepose.export import load_result

    tracks = []
    for path in paths:
        for track in load_result(path).tracks:
            if track.skeleton.name != "coco17":
                raise InputError(f"{path}: its tracks have {track.skeleton.name} joints; pre-training takes coco17")
            joints = np.concatenate([track.keypoints, track.scores[..., None]], -1)
            tracks.append(at_rate(joints, track.timestamp, rate))
    return tracks


def build_task(config: PretrainTaskConfig) -> PretrainTask:
    """The task of a configuration; InputError for files that cannot be used."""
    return PretrainTask(config)
