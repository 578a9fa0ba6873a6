"""Joint sets of one's own: what a declaration may say, what comes of it, and what is refused in one line."""

import json

import numpy as np
import pytest
import yaml

from cascadepose.errors import InputError
from cascadepose.skeletons import COCO17, H36M17, SKELETONS, declaration, declare, find_skeleton, stated_skeleton

HAND = {
    "names": ["wrist", "left_thumb", "right_thumb", "tip"],
    "parents": {"left_thumb": "wrist", "right_thumb": "wrist", "tip": 1},
    "flip_pairs": [["left_thumb", "right_thumb"]],
    "sigmas": {"wrist": 0.1, "left_thumb": 0.05, "right_thumb": 0.05, "tip": 0.02},
}


def test_yaml_and_json_alike(tmp_path):
    (tmp_path / "hand.yaml").write_text(yaml.safe_dump(HAND))
    (tmp_path / "hand.json").write_text(json.dumps(HAND))
    hand = find_skeleton(tmp_path / "hand.yaml")
    assert hand == find_skeleton(str(tmp_path / "hand.json")) == find_skeleton(HAND | {"name": "hand"})
    assert (hand.name, hand.parents, hand.flip_index) == ("hand", (-1, 0, 0, 1), (0, 2, 1, 3))
    assert hand.edges == ((0, 1), (0, 2), (1, 3))
    assert hand.sigmas == (0.1, 0.05, 0.05, 0.02)
    assert find_skeleton(hand) is hand


@pytest.mark.parametrize("skeleton", SKELETONS.values(), ids=lambda s: s.name)
def test_declarations_say_all(skeleton):
    """A known set is its name; the same under another name survives JSON with all its values."""
    assert declaration(skeleton) == skeleton.name
    assert find_skeleton(skeleton.name) is skeleton
    other = declare(vars(skeleton) | {"name": "other", "conversions": {}})
    assert vars(other) | {"name": skeleton.name} == vars(skeleton)
    assert find_skeleton(json.loads(json.dumps(declaration(other)))) == other


def test_conversions_are_means_and_travel(rng):
    names = [name for name in COCO17.names if not name.endswith(("eye", "ear"))]
    flips = [[name, name.replace("left", "right")] for name in names if name.startswith("left")]
    table = {"pelvis": ["left_hip", "right_hip"], "spine": "left_hip", "thorax": "nose"}
    table["head"] = ["left_hip", "left_knee", "left_ankle"]
    stated = {"name": "body13", "names": names, "flip_pairs": flips, "conversions": {"h36m17": table}}
    body = find_skeleton(json.loads(json.dumps(declaration(declare(stated)))))
    assert body.converts_to(H36M17)
    assert not body.converts_to(COCO17)
    points, scores = rng.normal(size=(3, 13, 2)), rng.random((3, 13))
    joints, joint_scores, measured = body.convert(points, scores)
    legs = [body.index(f"left_{part}") for part in ("hip", "knee", "ankle")]
    np.testing.assert_allclose(joints[:, 10], points[:, legs].mean(1))
    np.testing.assert_array_equal(joint_scores[:, 10], scores[:, legs].min(1))
    assert (~measured).nonzero()[0].tolist() == [0, 10]


@pytest.mark.parametrize(
    "change, message",
    [
        ({"names": None}, "needs `names`"),
        ({"names": ["a", "b", "a"]}, "'a' is named twice"),
        ({"names": ["left hand", "b"]}, "words with spaces"),
        ({"name": "coco17"}, "another name"),
        ({"sigma": 0.1}, "did you mean 'sigmas'"),
        ({"sigmas": [0.1, 0.1]}, "one for all or 4"),
        ({"sigmas": {"wrist": 0.1}}, "positive numbers"),
        ({"sigmas": -1}, "positive numbers"),
        ({"flip_pairs": []}, "left_thumb and right_thumb are in no flip_pairs"),
        ({"flip_pairs": [["left_thumb", "right_thumb"], ["tip", "tip"]]}, "its own counterpart"),
        ({"edges": [["wrist"]]}, "list of pairs"),
        ({"edges": [["wrist", "elbow"]]}, "'elbow', which is not there"),
        ({"parents": {"wrist": "tip", "tip": "wrist"}}, "wrist is its own ancestor"),
        ({"parents": [None, 0]}, "must be 4 joints"),
        ({"conversions": {"h36m": {}}}, "converts to 'h36m'"),
        ({"conversions": {"h36m17": {"tail": "tip"}}}, "no joint of h36m17"),
        ({"conversions": {"h36m17": {}}}, "no joint 'pelvis'"),
    ],
)
def test_flaws_are_named(change, message, tmp_path):
    path = tmp_path / "hand.json"
    path.write_text(json.dumps(HAND | change))
    with pytest.raises(InputError, match=message) as caught:
        find_skeleton(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_files_and_names_that_are_not_there(tmp_path):
    (tmp_path / "list.yaml").write_text("- wrist\n")
    (tmp_path / "broken.yaml").write_text("names: [a, b\n")
    for wanted, message in (
        ("coco71", "did you mean 'coco17'"),
        (tmp_path / "none.yaml", "no such joint set"),
        (tmp_path / "none.json", "no such joint set"),
        (tmp_path / "list.yaml", "declares no joint set"),
        (tmp_path / "broken.yaml", "no YAML file"),
    ):
        with pytest.raises(InputError, match=message) as caught:
            find_skeleton(wanted)
        assert "\n" not in str(caught.value)


def test_what_models_state():
    assert stated_skeleton(None) == stated_skeleton(None, 17) == stated_skeleton("coco17", 17) == COCO17
    assert stated_skeleton(None, 16).name == "mpii16"
    assert stated_skeleton(None, 5).num_joints == 5
    with pytest.raises(InputError, match="has 17 joints"):
        stated_skeleton("coco17", 16)
