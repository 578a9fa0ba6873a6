"""Official PRTR's crops: box to region, region to affine map, warp, and back."""

from __future__ import annotations

import numpy as np

from cascadepose.evaluation.two_stage import box_region, cut, image_to_crop, to_image
from cascadepose.parity.cases import Case
from cascadepose.parity.compare import PIXELS, Comparison, compare

PIXEL_STD = 200  # official sizes are stored in units of so many pixels


def prtr_crop_affine(case: Case) -> list[Comparison]:
    """Every output: for each box its region, maps and crops at several angles, and three points taken back."""
    width, height = case.config["image_size"]
    found = []
    for number, box in enumerate(case.inputs["boxes"]):
        center, size = box_region(box, width / height, case.config["enlarge"])
        found += [
            compare(f"b{number}.center", center, case.outputs[f"b{number}.center"]),
            compare(f"b{number}.scale", size / PIXEL_STD, case.outputs[f"b{number}.scale"]),
        ]
        points = np.array([[0, 0], [width, height], [width / 2, height / 2]])
        back = to_image(points, center, size, (height, width))
        found.append(compare(f"b{number}.corners_back", back, case.outputs[f"b{number}.corners_back"], PIXELS))
        for name in (name for name in case.outputs if name.startswith(f"b{number}.r") and name.endswith(".trans")):
            matrix = image_to_crop(center, size, (height, width), float(name.split(".")[1][1:]))
            crop = cut(case.inputs["image"], matrix, (height, width))
            found.append(compare(name, matrix, case.outputs[name]))
            found.append(compare(name.replace("trans", "crop"), crop, case.outputs[name.replace("trans", "crop")]))
    return found
