"""MoveNet (Google, Apache-2.0), a small model to compare with and to learn joints from. Its file is not packaged."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cascadepose.errors import InputError
from cascadepose.skeletons import COCO17
from cascadepose.types import Poses2D

ENLARGE = 1.25  # side of the square crop over the longer side of the box


class MoveNet:
    """A single-person MoveNet as a `.tflite` file (Lightning or Thunder), run in boxes that are given.

    Raises InputError where the file is missing or holds another model, and where LiteRT is not installed.
    """

    def __init__(self, file: str | Path, threads: int = 1):
        try:
            from ai_edge_litert.interpreter import Interpreter
        except ImportError:
            raise InputError("MoveNet runs on LiteRT; install it with: pip install ai-edge-litert") from None
        if not Path(file).is_file():
            raise InputError(f"{file}: no such file; give a single-pose MoveNet as .tflite")
        try:
            self._model = Interpreter(str(file), num_threads=threads)
            self._model.allocate_tensors()
        except (RuntimeError, ValueError) as error:
            raise InputError(f"{file}: LiteRT cannot read it ({error}); give a single-pose MoveNet") from None
        (self._input, *more), self._output = self._model.get_input_details(), self._model.get_output_details()[0]
        if more or len(self._input["shape"]) != 4 or tuple(self._output["shape"]) != (1, 1, COCO17.num_joints, 3):
            raise InputError(f"{file}: is no single-pose MoveNet, which answers 1 x 1 x 17 x 3 numbers for one picture")
        self.side = int(self._input["shape"][1])

    def predict(self, frames: Sequence[np.ndarray], boxes_xyxy: Sequence[np.ndarray] | None = None) -> list[Poses2D]:
        """uint8 RGB frames [H, W, 3] and boxes [P, 4] px of each -> the people in them, joints of COCO in pixels.

        sigma is zero, for MoveNet has no opinion on it. Raises InputError without boxes.
        """
        if boxes_xyxy is None:
            raise InputError("MoveNet finds nobody by itself; give it boxes")
        return [self._people(frame, boxes) for frame, boxes in zip(frames, boxes_xyxy, strict=True)]

    def _people(self, frame: np.ndarray, boxes: np.ndarray) -> Poses2D:
        if not len(boxes):
            return Poses2D.empty(COCO17)
        # one after another: the file takes one picture at a time
        answers = np.stack([self._person(frame, box) for box in np.asarray(boxes, np.float64)])
        keypoints = answers[..., :2].astype(np.float32)
        return Poses2D(
            keypoints, answers[..., 2].astype(np.float32), np.zeros_like(keypoints), np.asarray(boxes, np.float32),
            np.ones(len(boxes), np.float32),
        )  # fmt: skip

    def _person(self, frame: np.ndarray, box: np.ndarray) -> np.ndarray:
        """Joints [K, 3] (x, y in px of the frame, score) of the person in a box [4] xyxy."""
        import cv2

        center, length = (box[:2] + box[2:]) / 2, ENLARGE * (box[2:] - box[:2]).max()
        pixels = max(round(length), self.side)  # cut out with all of its pixels, and then made small by their means
        scale = pixels / length
        shift = pixels / 2 - center * scale + (scale - 1) / 2  # pixels have their middle at a half
        square = cv2.warpAffine(frame, np.hstack([np.eye(2) * scale, shift[:, None]]), (pixels, pixels))
        crop = cv2.resize(square, (self.side, self.side), interpolation=cv2.INTER_AREA)
        self._model.set_tensor(self._input["index"], crop[None].astype(self._input["dtype"]))
        self._model.invoke()
        answer = self._model.get_tensor(self._output["index"])[0, 0]
        return np.hstack([(answer[:, 1::-1] - 0.5) * length + center, answer[:, 2:]])
