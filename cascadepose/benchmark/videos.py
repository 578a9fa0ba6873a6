"""Cases of whole clips: lifting, and everything from frames to 3D joints. Each takes a device and if it is small."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor

from cascadepose.benchmark import Case
from cascadepose.benchmark.stages import photograph
from cascadepose.models.image_batch import ImageBatch
from cascadepose.models.lifters.causal import CausalTrack, Layout
from cascadepose.models.lifters.feeding import answers, inputs
from cascadepose.models.lifters.poseformer import PoseFormer
from cascadepose.models.lifters.stream import StreamLifter
from cascadepose.models.lifters.window import Sequence2D, lift_sequences
from cascadepose.skeletons import COCO17

RATE = 25.0


def lifting(device: torch.device, small: bool) -> Case:
    """Plain: a window a frame, one after another, as the demos of PoseFormer and the Strided Transformer do."""
    frames, window = (5, 3) if small else (81, 27)
    lifter = PoseFormer(num_frames=window).to(device).eval()
    keypoints = np.random.default_rng(0).uniform(100, 400, (frames, 17, 2)).astype(np.float32)
    scores, size = np.ones((frames, 17), np.float32), (640, 480)
    windows = np.clip(np.arange(frames)[:, None] + np.arange(window) - window // 2, 0, frames - 1)

    def plain() -> Tensor:
        found = [inputs(lifter, keypoints[index][None], scores[index][None], size, "coco17") for index in windows]
        return torch.cat([answers(lifter, x, None, True)[0].cpu() for x in found])

    def ours() -> Tensor:
        return torch.from_numpy(lift_sequences(lifter, [Sequence2D(keypoints, scores, size)])[0])

    setting = f"PoseFormer of {window} frames, {frames} frames of one person, flip test"
    return Case("lifting", setting, plain, ours)


def lifting_a_stream(device: torch.device, small: bool) -> Case:
    """Plain: the whole window again for each new frame."""
    from cascadepose.hub import load_model

    lifter = load_model("dstformer-small-causal", device=str(device))
    count, size = 5 if small else 75, (640, 480)
    times = np.arange(count) / 30
    base, phase = np.random.default_rng(0).uniform(100, 400, (2, 1, 17, 2))
    keypoints = (base + 40 * np.sin(4 * times[:, None, None] + phase)).astype(np.float32)
    scores = np.ones(keypoints.shape[:2], np.float32)

    def plain() -> Tensor:
        track, found = CausalTrack(Layout.of(lifter), lifter.frame_rate), []
        for frame in zip(times, keypoints, scores, strict=True):
            (points, point_scores), place = track.push(*frame)
            x = inputs(lifter, points[None], point_scores[None], size, "coco17")
            found.append(answers(lifter, x, np.array([[place]]), False)[0].cpu())
        return torch.cat(found)

    def ours() -> Tensor:
        stream = StreamLifter(lifter, size, COCO17)
        frames = zip(times, keypoints, scores, strict=True)
        found = [stream.push(time, [0], points[None], score[None]) for time, points, score in frames]
        return torch.from_numpy(np.concatenate(found))

    setting = f"packaged causal weights, windows of {lifter.num_frames} frames, {count} frames of one person at 30 Hz"
    return Case("lifting a stream", setting, plain, ours)


def whole_video(device: torch.device, small: bool) -> Case:
    """Plain: frame after frame, person after person, clip after clip of MotionBERT's kind, which leaves seams; without
    tracking and smoothing, which ours has.
    """
    from cascadepose.loading import load

    pose = load(device=str(device))
    prtr, lifter = pose.predictor.prtr, pose.lifter
    frames = moving_people(4 if small else 32)
    size = (frames[0].shape[1], frames[0].shape[0])

    def people_of(frame: np.ndarray) -> np.ndarray:
        """[P, 17, 3] (x, y, score) in pixels, from left to right."""
        pixels = torch.from_numpy(frame).to(device).permute(2, 0, 1).float().div(255)
        batch = ImageBatch.from_list([pixels])
        boxes, _, index = prtr.select_people(prtr.detect(batch), pose.predictor.threshold)  # the same people as ours
        found = []
        for person in boxes.argsort(0)[:, 0].tolist():
            points, scores, _ = prtr.read_joints(prtr(batch, boxes[[person]], index[[person]]))
            found.append(torch.cat([points[0] * points.new_tensor(size), scores[0, :, None]], 1).cpu().numpy())
        return np.stack(found)

    def plain() -> Tensor:
        found = [people_of(frame) for frame in frames]
        joints = []
        for person in range(min(map(len, found))):
            track = np.stack([people[person] for people in found])
            for start in range(0, len(track), lifter.num_frames):
                clip = track[None, start : start + lifter.num_frames]
                x = inputs(lifter, clip[..., :2], clip[..., 2], size, "coco17")
                joints.append(answers(lifter, x, None, True)[0].cpu())
        return torch.cat(joints)

    def ours() -> Tensor:
        result = pose(frames, RATE, progress=False)
        return torch.from_numpy(np.concatenate([track.poses3d.joints for track in result]))

    setting = f"packaged weights, {len(frames)} decoded frames {size[0]}x{size[1]}, two people"
    return Case("whole video", setting, plain, ours, None)


def moving_people(count: int) -> list[np.ndarray]:
    """Frames uint8 [480, 800, 3] in which the person of the photograph stands twice and drifts to the right."""
    person = cv2.resize(photograph(), (400, 480), interpolation=cv2.INTER_AREA)
    both = np.concatenate([person, person[:, ::-1]], 1)
    return [np.ascontiguousarray(np.roll(both, index % 24, axis=1)) for index in range(count)]


CASES = (lifting, lifting_a_stream, whole_video)
