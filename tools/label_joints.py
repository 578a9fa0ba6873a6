"""Label joints that an annotated set leaves out, where models agree on them: a COCO file with pseudo-labels.

python tools/label_joints.py --images lspet/images --annotations lspet/person_keypoints_lspet_train.json \
    --movenet movenet_single_pose_lightning_ptq.tflite --out lspet/person_keypoints_lspet_train_faces.json
"""

import argparse
import sys
from pathlib import Path


def main(argv: list[str] | None = None) -> int:
    """Parse the command line, run the teachers in the annotated boxes and write the file."""
    from cascadepose.evaluation.teachers import FACE, Belief

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", required=True, metavar="DIR", help="folder of the images")
    parser.add_argument("--annotations", required=True, metavar="FILE", help="COCO keypoint file")
    parser.add_argument("--joints", nargs="+", default=FACE, metavar="NAME", help="joints to label (default: the face)")
    parser.add_argument("--weights", metavar="NAME", help="2D stage: name or path (default: the preset accurate's)")
    parser.add_argument("--movenet", metavar="FILE", help="a second teacher: single-pose MoveNet, .tflite")
    parser.add_argument("--alone", type=float, default=Belief.alone, help="score that is believed without agreement")
    parser.add_argument("--agreed", type=float, default=Belief.agreed, help="score that is believed where both agree")
    parser.add_argument("--device", help="cpu, cuda, ... (default: a GPU where there is one)")
    parser.add_argument("--out", required=True, type=Path, metavar="FILE", help="the annotation file to write")
    args = parser.parse_args(argv)

    from cascadepose.devices import pick_device
    from cascadepose.errors import InputError
    from cascadepose.evaluation.movenet import MoveNet
    from cascadepose.evaluation.teachers import label_missing
    from cascadepose.hub import load_model
    from cascadepose.loading import PRESETS
    from cascadepose.predictor import PosePredictor

    try:
        device = pick_device(args.device)
        prtr = load_model(args.weights or PRESETS["accurate"].weights, device=device, kind="prtr")
        teachers = [PosePredictor(prtr, device, flip_test=True), *([MoveNet(args.movenet)] if args.movenet else [])]
        belief = Belief(args.alone, args.agreed)
        counts = label_missing(
            args.annotations, args.images, args.joints, teachers, args.out, belief, prtr.skeleton, progress=True
        )
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"wrote {args.out}; labelled: " + ", ".join(f"{name} {count}" for name, count in counts.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
