"""Matchers, criteria and readout of DETR and PRTR."""

from __future__ import annotations

import torch
from torch import Tensor

from cascadepose.evaluation.two_stage import read_joints, to_image
from cascadepose.losses.detection import BoxTargets, DetectionCriterion
from cascadepose.losses.keypoints import KeypointCriterion, KeypointTargets
from cascadepose.losses.matching import Matches, box_cost, hungarian
from cascadepose.parity.cases import Case
from cascadepose.parity.compare import NORMALISED, PIXELS, Comparison, compare
from cascadepose.parity.crops import PIXEL_STD
from cascadepose.skeletons import COCO17, MPII16

LOSSES = {"loss_ce": "loss_class", "loss_bbox": "loss_l1", "loss_giou": "loss_giou", "loss_kpts": "loss_keypoints"}
CROP_SIZE = (384, 288)  # where a case with PRTR's readout does not say it


def detr_criterion(case: Case) -> list[Comparison]:
    """Matches and losses of images with any number of boxes, none included."""
    logits, boxes = torch.as_tensor(case.inputs["pred_logits"]), torch.as_tensor(case.inputs["pred_boxes"])
    targets = _box_targets(case, len(logits))
    class_cost, l1_cost, giou_cost = case.config.get("cost", (1, 5, 2))
    cost = box_cost(logits, boxes, targets.labels, targets.boxes, class_cost, l1_cost, giou_cost)
    matches = hungarian(cost, targets.counts)
    found = [part for image in range(len(logits)) for part in _pairs(case, matches, image)]
    criterion = DetectionCriterion(num_logits=logits.shape[-1], no_object_weight=case.config.get("eos", 0.1))
    losses = criterion({"pred_logits": logits, "pred_boxes": boxes, "aux_outputs": []}, targets)
    losses |= _statistics(logits, matches, targets.labels, targets.counts)
    return found + _losses(case, losses, "")


def _box_targets(case: Case, images: int) -> BoxTargets:
    boxes = [torch.as_tensor(case.inputs[f"boxes{number}"]) for number in range(images)]
    labels = [torch.as_tensor(case.inputs[f"labels{number}"]) for number in range(images)]
    boxes_padded, labels_padded = (torch.nn.utils.rnn.pad_sequence(x, batch_first=True) for x in (boxes, labels))
    return BoxTargets(boxes_padded, [len(b) for b in boxes], labels_padded)


def _pairs(case: Case, matches: Matches, image: int) -> list[Comparison]:
    chosen = matches.problem == image
    ours = {"query": matches.query[chosen], "gt": matches.target[chosen]}
    return [compare(f"match{image}.{key}", value, case.outputs[f"match{image}.{key}"]) for key, value in ours.items()]


def _statistics(logits: Tensor, matches: Matches, labels: Tensor, counts: list[int]) -> dict[str, Tensor]:
    """What the official code logs beside its losses: % of matched queries with another class on top, and how far the
    number of queries that are not "nothing" is from the number of targets.
    """
    top = logits.argmax(-1)
    right = top[matches.queries] == labels[matches.targets]
    number = (top != logits.shape[-1] - 1).sum(1)
    return {
        "class_error": 100 - 100 * right.float().mean(),
        "cardinality_error": (number - torch.tensor(counts)).abs().float().mean(),
    }


def _losses(case: Case, losses: dict[str, Tensor], suffix: str) -> list[Comparison]:
    """The losses that the case has under `suffix` ("" of the last layer, "_0" of the first)."""
    found = []
    for name, theirs in case.outputs.items():
        key = name.removeprefix("loss.").removesuffix(suffix)
        if name == f"loss.{key}{suffix}" and (ours := losses.get(LOSSES.get(key, key))) is not None:
            found.append(compare(name, ours, theirs, NORMALISED / 10))
    return found


def prtr_criterion_and_decode(case: Case) -> list[Comparison]:
    """Matches, losses of both layers, and the readout with and without "no joint", straight and mirrored."""
    weight = torch.as_tensor(case.inputs["target_weight"])[..., 0]
    targets = KeypointTargets(torch.as_tensor(case.inputs["target"]), weight > 0, torch.ones_like(weight) > 0)
    criterion = KeypointCriterion(
        targets.visible.shape[1],
        class_weight=case.config.get("cost_class", 1.0),
        l1_weight=case.config.get("cost_coord", 5.0),
        likelihood_weight=0.0,
        no_joint_weight=case.config.get("eos", 0.1),
        invisible_as_positive=True,
    )
    found = []
    for prefix, suffix in (("", ""), ("aux0.", "_0")):
        logits, coords = (torch.as_tensor(case.inputs[f"{prefix}{name}"]) for name in ("pred_logits", "pred_coords"))
        found += _keypoint_losses(case, criterion, logits, coords, targets, suffix)
    return [*found, *_matched(case, criterion, targets), *_decoded(case)]


def _keypoint_losses(
    case: Case, criterion: KeypointCriterion, logits: Tensor, coords: Tensor, targets: KeypointTargets, suffix: str
) -> list[Comparison]:
    people, joints = targets.visible.shape
    out = {"pred_kpt_logits": logits, "pred_keypoints": coords, "pred_kpt_sigma": torch.ones_like(coords)}
    losses = criterion(out | {"aux_outputs": []}, targets)
    labels = torch.arange(joints).expand(people, -1)
    losses |= _statistics(logits, criterion.match(logits, coords, targets), labels, [joints] * people)
    return _losses(case, losses, suffix)


def _matched(case: Case, criterion: KeypointCriterion, targets: KeypointTargets) -> list[Comparison]:
    """Query and place of every joint of the last layer; the official code blanks the places of joints not seen."""
    logits, coords = torch.as_tensor(case.inputs["pred_logits"]), torch.as_tensor(case.inputs["pred_coords"])
    matches = criterion.match(logits, coords, targets)
    query = torch.empty(targets.visible.shape, dtype=torch.long)
    query[matches.targets] = matches.query
    places = coords.gather(1, query[..., None].expand(-1, -1, 2)) * targets.visible[..., None]
    theirs = torch.empty_like(query).scatter_(
        1, torch.as_tensor(case.outputs["match_kpt"]), torch.as_tensor(case.outputs["match_query"])
    )
    return [compare("match_query", query, theirs), compare("pred_matched", places, case.outputs["pred_matched"])]


def _decoded(case: Case) -> list[Comparison]:
    logits, coords = torch.as_tensor(case.inputs["pred_logits"]), torch.as_tensor(case.inputs["pred_coords"])
    width, height = case.config.get("image_size", CROP_SIZE[::-1])
    flip = (COCO17 if logits.shape[-1] == COCO17.num_joints + 1 else MPII16).flip_index
    found = []
    for name in sorted(key.removesuffix(".raw") for key in case.outputs if key.endswith(".raw")):
        mirrored = flip if "_flip" in name else None
        points, scores = read_joints(logits, coords, (height, width), name.endswith("bg1"), mirrored)
        people = zip(points.numpy(), case.inputs["center"], case.inputs["scale"], strict=True)
        placed = [to_image(joints, center, scale * PIXEL_STD, (height, width)) for joints, center, scale in people]
        found += [
            compare(f"{name}.raw", points, case.outputs[f"{name}.raw"], PIXELS),
            compare(f"{name}.scores", scores[..., None], case.outputs[f"{name}.scores"]),
            compare(f"{name}.coords", placed, case.outputs[f"{name}.coords"], PIXELS),
        ]
    return found
