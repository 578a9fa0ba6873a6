"""Put a trained detector and a trained keypoint stage together as one PRTR weights file.

python tools/package_prtr.py --detector runs/detector/best.safetensors --keypoints runs/keypoints/best.safetensors \
    --info card.yaml --out prtr.safetensors
"""

import argparse
import sys
from pathlib import Path

import yaml


def main(argv: list[str] | None = None) -> int:
    """Parse the command line and write the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--detector", required=True, help="weights of `train_prtr.py --stage detector`")
    parser.add_argument("--keypoints", required=True, help="weights of `train_prtr.py --stage keypoints`")
    parser.add_argument("--info", required=True, help="YAML with data, recipe, scores and licence, kept in the file")
    parser.add_argument("--out", required=True, help="the file to write")
    parser.add_argument("--side", type=int, default=320, help="longer image side for the detector, in pixels")
    parser.add_argument("--threshold", type=float, default=0.5, help="person score from which joints are looked for")
    parser.add_argument("--nms-iou", type=float, help="suppress the worse of two boxes that overlap more than this")
    arguments = parser.parse_args(argv)

    from cascadepose.errors import InputError
    from cascadepose.hub import load_model, save_model
    from cascadepose.models.prtr import PRTR

    try:
        detector, keypoints = load_model(arguments.detector), load_model(arguments.keypoints)
        for part in (detector, keypoints):  # `config` is what the package's model is built from
            part.backbone.fold()
            part.config["backbone"] = part.config["backbone"] | {"folded": True}
        model = PRTR(
            detector.config,
            keypoints.config,
            "image",
            detector_side=arguments.side,
            aspect=keypoints.crop_size[1] / keypoints.crop_size[0],
            threshold=arguments.threshold,
            nms_iou=arguments.nms_iou,
        )
        model.detector.load_state_dict(detector.state_dict())
        model.keypoints.load_state_dict(keypoints.state_dict())
        save_model(model, arguments.out, "prtr", yaml.safe_load(Path(arguments.info).read_text()))
    except (InputError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"wrote {arguments.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
