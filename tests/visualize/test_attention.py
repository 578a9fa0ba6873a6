"""What is shown is what the networks attended to, at the right place of the image."""

from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.patches import Rectangle
from PIL import Image

from cascadepose.errors import InputError
from cascadepose.models.image_batch import ImageBatch
from cascadepose.models.recording import record_attention
from cascadepose.visualize.attention import Gaze, look_inside
from cascadepose.visualize.attention_plots import draw_gaze, panels, save_figure, write_pictures

FORMS = {
    "two-stage": {},
    "learned queries": {"queries": "learned"},
    "end-to-end": {"crop": "features"},
    "deformable": {"attention": "deformable"},
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_prtr(make_prtr, make_image, form):
    model = make_prtr(**FORMS[form])
    found = look_inside(model, make_image(70, 90))
    assert len(found.people) == 2 and len(found.scene) == 1 and found.scene[0].heat.shape == (5, 6)
    for person in found.people:
        assert len(person.detector) == len(person.joints) == 2 and len(person.surroundings) == 1
        assert (person.detector[0].heat is None) == (form != "learned queries")
        assert (person.heatmaps is not None) == (form in ("two-stage", "learned queries"))
        assert len(person.joints[0]) == len(person.surroundings[0]) == 17 == len(person.keypoints)
        gazes = [*person.detector, *person.joints[1], *person.surroundings[0], *(person.heatmaps or ())]
        for gaze in gazes:
            values = gaze.weights if gaze.heat is None else gaze.heat
            assert values.sum() == pytest.approx(1, abs=1e-4) and (values >= 0).all()
            assert (gaze.places is None) or gaze.places.shape == (len(gaze.weights), 2)
    assert found.people[0].box_score >= found.people[1].box_score


@pytest.mark.parametrize("form", ["two-stage", "deformable"])
def test_pictures(make_prtr, make_image, form, tmp_path):
    """Heat maps and sampling points; the readout has heat maps in the first form only."""
    written = write_pictures(look_inside(make_prtr(people=1, **FORMS[form]), make_image(70, 90)), tmp_path)
    names = ["scene", "people", "person_1_joints", "person_1_image", "person_1_crop"]
    names += ["person_1_heatmaps"] * (form == "two-stage")
    assert [path.name for path in written] == [f"{name}.png" for name in names]
    assert sorted(written) == sorted(tmp_path.iterdir())


@torch.no_grad()
def test_joint_queries_are_those_of_the_answer(make_prtr, make_image):
    """Heads averaged by hand, for the person and the joint that are shown."""
    model, image = make_prtr(), make_image(64, 80)
    pixels = torch.from_numpy(image).permute(2, 0, 1).float() / 255
    with record_attention(model, "keypoints.*.multihead_attn", "detector.*.cross_attn") as calls:
        out = model(ImageBatch.from_list([pixels]))
    found = look_inside(model, image)
    best = int(out["people_scores"].argmax())
    weights = calls["keypoints.transformer.transformer.decoder.layers.1.multihead_attn"][0].weights()
    person = found.people[0]
    expected = weights[best, :, 9].mean(0).view(4, 3)
    np.testing.assert_allclose(person.joints[1][9].heat, expected.numpy(), atol=1e-6)
    (sampled,) = calls["detector.transformer.decoder.layers.0.cross_attn"]
    query = int((out["pred_boxes"][0] - out["people_boxes"][best]).abs().sum(-1).argmin())
    places = sampled.places[0, query].reshape(-1, 2) * torch.tensor([80.0, 64.0])
    np.testing.assert_allclose(person.detector[0].places, places.numpy(), rtol=1e-4, atol=1e-4)
    one = look_inside(model, image, head=2).people[0]
    np.testing.assert_allclose(one.joints[1][9].heat, weights[best, 2, 9].view(4, 3).numpy(), atol=1e-6)
    assert one.detector[0].places.shape == (4, 2)


def test_scene_belongs_to_the_point(make_prtr, make_image):
    model, image = make_prtr(), make_image(64, 80)
    first, second = (look_inside(model, image, point=point).scene[0].heat for point in ((3, 3), (75, 60)))
    assert first.shape == second.shape == (4, 5) and not np.allclose(first, second)
    again = look_inside(model, image, point=(15.9, 15.9))  # the same cell of 16 pixels
    np.testing.assert_array_equal(first, again.scene[0].heat)
    middle = look_inside(model, image)
    assert 0 <= middle.point[0] <= 80 and 0 <= middle.point[1] <= 64


def test_cells_of_an_end_to_end_crop_reach_half_a_cell_beyond(make_prtr, make_image):
    person = look_inside(make_prtr(crop="features"), make_image(64, 80)).people[0]
    gaze, size = person.joints[0][0], person.region_xyxy[2:] - person.region_xyxy[:2]
    assert gaze.heat.shape == (6, 5)
    np.testing.assert_allclose(person.region_xyxy[:2] - gaze.region_xyxy[:2], size / (4, 5) / 2)


def test_nobody(make_prtr, make_image, tmp_path):
    found = look_inside(make_prtr(), make_image(), threshold=0.999)
    assert found.people == [] and found.point == (32, 24)
    assert [path.name for path in write_pictures(found, tmp_path)] == ["scene.png"]


def test_what_is_not_there_is_named(make_prtr, make_image, tmp_path):
    model, image = make_prtr(), make_image()
    for call, words in (
        (lambda: look_inside(model, image, point=(64, 3)), "point 64 3 is outside of the image"),
        (lambda: look_inside(model, image, head=4), "head 5 is not there; this layer has 4"),
        (lambda: write_pictures(look_inside(model, image), tmp_path, layer=2), "layer 3 is not there"),
    ):
        with pytest.raises(InputError, match=words):
            call()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("kind", ["heat", "places"])
def test_drawn_where_it_was(kind, tmp_path):
    """The brightest spot of the picture lies where the heaviest weight does in the image."""
    heat = np.full((4, 5), 0.01)
    heat[1, 3] = 1.0
    region = np.array([20.0, 0.0, 120.0, 80.0])  # a cell is 20 x 20 pixels: the middle of (1, 3) is at (90, 30)
    gaze = Gaze(region, heat=heat)
    if kind == "places":
        gaze = Gaze(region, places=np.array([[90.0, 30.0], [30.0, 70.0]]), weights=np.array([0.9, 0.1]))
    figure, (axis,) = panels("", 1, 1, np.array([0.0, 0.0, 160.0, 100.0]))
    axis.set(xlim=(0, 160), ylim=(100, 0), aspect="equal")
    axis.add_patch(Rectangle((0, 0), 160, 100, color="black"))
    draw_gaze(axis, gaze)
    picture = np.asarray(Image.open(save_figure(figure, tmp_path / "x.png")).convert("RGB")).astype(float)
    corner, opposite = axis.transData.transform([(0, 0), (160, 100)]) / figure.dpi * 110
    columns = np.linspace(corner[0], opposite[0], 160).round().astype(int)
    rows = (picture.shape[0] - np.linspace(corner[1], opposite[1], 100)).round().astype(int)
    inside = picture[np.clip(rows, 0, len(picture) - 1)][2:-2, columns[2:-2]].mean(-1)
    y, x = np.nonzero(inside > 0.8 * inside.max())
    assert abs(x.mean() + 2 - 90) < 4 and abs(y.mean() + 2 - 30) < 4


def test_command_on_the_photograph_that_matplotlib_carries(tmp_path, capsys):
    import matplotlib

    from cascadepose.cli import main
    from cascadepose.hub import list_models

    if "prtr-mobilenetv2-small-320x256" not in {model.name for model in list_models()}:
        pytest.skip("no packaged weights in this working copy")
    photograph = Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg"
    arguments = ["--out", str(tmp_path), "--people", "1", "--threshold", "0.3", "--point", "256", "150"]
    assert main(["attention", str(photograph), *arguments]) == 0
    printed = capsys.readouterr().out.splitlines()
    names = ("scene", "people", "person_1_joints", "person_1_image", "person_1_crop", "person_1_heatmaps")
    assert printed == [str(tmp_path / f"{name}.png") for name in names]
    for name in names:
        with Image.open(tmp_path / f"{name}.png") as picture:
            assert min(picture.size) > 200


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["missing.jpg"], "no such file or folder"),
        (["text.jpg"], "is no image in a known format"),
        (["photo.png", "--weights", "dstformer-small"], "'prtr' is needed here"),
        (["photo.png", "--out", "text.jpg/out"], "a file is in the way"),
        (["folder"], "holds no poses.npz or poses.json"),
    ],
)
def test_command_names_what_is_wrong(tmp_path, monkeypatch, capsys, arguments, words):
    from cascadepose.cli import main

    monkeypatch.chdir(tmp_path)
    Path("text.jpg").write_text("nothing to see")
    Path("folder").mkdir()
    Image.new("RGB", (40, 30)).save("photo.png")
    assert main(["attention", *arguments]) == 2
    message = capsys.readouterr().err
    assert words in message and message.count("\n") == 1
