import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cascadepose.models.crop import (
    crop_regions,
    crop_resample,
    sample_image_by_image,
    sample_together,
    to_crop,
    to_image,
)

ALIGNMENTS = ["centers", "corners", "opencv"]


@pytest.mark.parametrize("alignment", ALIGNMENTS)
@pytest.mark.parametrize("padding_mode", ["zeros", "border"])
def test_gradients_in_maps_and_regions(alignment, padding_mode):
    torch.manual_seed(0)
    maps = [torch.randn(2, 2, 6, 7, dtype=torch.float64, requires_grad=True) for _ in range(2)]
    regions = torch.tensor(
        [[0.43, 0.51, 0.61, 0.47], [0.33, 0.62, 0.37, 0.53], [0.8, 0.2, 0.9, 0.31]], dtype=torch.float64
    ).requires_grad_()
    index = torch.tensor([0, 1, 1])
    ratios = torch.tensor([[1.0, 1.0], [0.8, 0.9]], dtype=torch.float64)

    def crop(a, b, c):
        return crop_resample([a, b], c, index, (3, 4), ratios, alignment, padding_mode, clamp=False)

    assert torch.autograd.gradcheck(crop, (*maps, regions), eps=1e-7, atol=1e-5)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.floats(-0.5, 1.5), min_size=4, max_size=4),
    st.floats(0.01, 2.0),
    st.floats(0.01, 2.0),
)
def test_crop_and_image_points_are_inverse(values, width, height):
    regions = torch.tensor([[values[0], values[1], width, height]], dtype=torch.float64)
    points = torch.tensor([[values[2:]]], dtype=torch.float64)
    assert (to_image(to_crop(points, regions), regions) - points).abs().max() < 1e-6
    assert (to_crop(to_image(points, regions), regions) - points).abs().max() < 1e-6


@pytest.mark.parametrize("alignment", ["centers", "corners"])
def test_samples_lie_where_the_inverse_says(alignment):
    """A crop of an image whose channels hold x and y reads back the place of each of its samples."""
    height, width = 40, 60
    y, x = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    image = torch.stack([x / width, y / height])[None].double()
    regions = torch.tensor([[0.5, 0.45, 0.6, 0.5]], dtype=torch.float64)
    crop = crop_resample([image], regions, torch.tensor([0]), (8, 6), alignment=alignment)
    rows, columns = torch.meshgrid(torch.arange(8.0), torch.arange(6.0), indexing="ij")
    local = {
        "centers": torch.stack([(columns + 0.5) / 6, (rows + 0.5) / 8], -1),
        "corners": torch.stack([columns / 5, rows / 7], -1),
    }[alignment]
    expected = to_image(local.reshape(1, -1, 2).double(), regions)
    assert (crop[0].flatten(1).T - expected[0]).abs().max() < 1e-6


def test_whole_image_is_reproduced():
    image = torch.rand(1, 3, 9, 7)
    crop = crop_resample([image], torch.tensor([[0.5, 0.5, 1.0, 1.0]]), torch.tensor([0]), (9, 7))
    torch.testing.assert_close(crop, image, atol=1e-5, rtol=0)


@pytest.mark.parametrize("padding_mode", ["zeros", "border"])
def test_padding_of_the_batch_does_not_reach_the_crop(padding_mode):
    image = torch.rand(1, 2, 10, 12)
    padded = torch.zeros(1, 2, 16, 20)
    padded[..., :10, :12] = image
    regions = torch.tensor([[0.9, 0.8, 0.5, 0.7]])  # reaches beyond the image
    zero = torch.tensor([0])
    ratio = torch.tensor([[12 / 20, 10 / 16]])
    alone = crop_resample([image], regions, zero, (6, 5), padding_mode=padding_mode)
    inside = crop_resample([padded], regions, zero, (6, 5), ratio, padding_mode=padding_mode)
    torch.testing.assert_close(inside, alone, atol=1e-5, rtol=1e-5)


def test_people_of_several_images_keep_their_order():
    images = torch.arange(3.0)[:, None, None, None].expand(3, 1, 4, 4)
    index = torch.tensor([2, 0, 2, 1, 0])
    crops = crop_resample([images], torch.tensor([[0.5, 0.5, 0.4, 0.4]]).expand(5, 4), index, (2, 2))
    assert crops.mean((1, 2, 3)).tolist() == index.tolist()


@pytest.mark.parametrize("padding_mode", ["zeros", "border"])
@pytest.mark.parametrize("index", [[2, 0, 2, 1, 0], [0, 2, 2, 2, 2]])
def test_both_ways_of_sampling_agree(padding_mode, index):
    """The one for CPU and the one that asks the device nothing, in values and gradients."""
    torch.manual_seed(0)
    answers = []
    index, weight, grid = torch.tensor(index), torch.randn(5, 2, 4, 3), torch.rand(5, 4, 3, 2) * 2.4 - 1.2
    level = torch.randn(4, 2, 7, 6)
    for sample, more in ((sample_image_by_image, ()), (sample_together, (4,))):
        given = [level.clone().requires_grad_(), grid.clone().requires_grad_()]
        crops = sample(*given, index, padding_mode, *more)
        answers.append((crops, *torch.autograd.grad((crops * weight).sum(), given)))
    for ours, other in zip(*answers, strict=True):
        torch.testing.assert_close(ours, other)


@pytest.mark.parametrize("padding_mode", ["zeros", "border"])
def test_bytes_are_read_like_floats(padding_mode):
    """Inside, over every border, wholly outside, and one pixel large."""
    torch.manual_seed(0)
    images = torch.randint(0, 256, (2, 3, 31, 43), dtype=torch.uint8)
    regions = [
        [0.5, 0.5, 0.3, 0.2],
        [0.1, 0.9, 0.5, 0.6],
        [0.5, 0.5, 1.5, 1.5],
        [2.0, -1.0, 0.2, 0.2],
        [0.3, 0.3, 0.01, 0.01],
    ]
    index = torch.tensor([1, 0, 0, 1, 1])
    crops = crop_resample([images], torch.tensor(regions), index, (12, 9), padding_mode=padding_mode)
    wanted = crop_resample([images.float()], torch.tensor(regions), index, (12, 9), padding_mode=padding_mode)
    torch.testing.assert_close(crops, wanted, atol=1e-2, rtol=0)
    assert crop_resample([images], torch.zeros(0, 4), index[:0], (12, 9)).is_floating_point()


def test_nobody():
    crops = crop_resample([torch.rand(2, 3, 8, 8)], torch.zeros(0, 4), torch.zeros(0, dtype=torch.long), (4, 3))
    assert crops.shape == (0, 3, 4, 3)


def test_aspect_is_kept_in_pixels():
    boxes = torch.tensor([[0.5, 0.5, 0.5, 0.1], [0.5, 0.5, 0.1, 0.5]])
    regions = crop_regions(boxes, torch.tensor([[100, 400], [100, 400]]), aspect=0.75, enlarge=1.25)
    width, height = regions[:, 2] * 400, regions[:, 3] * 100
    torch.testing.assert_close(width / height, torch.full((2,), 0.75))
    assert width[0] == pytest.approx(0.5 * 400 * 1.25)
    assert height[1] == pytest.approx(
        0.5 * 100 * 1.25 * (400 * 0.1 / 0.75 / 50 if 400 * 0.1 / 0.75 > 50 else 1), rel=1e-5
    )


def test_unknown_alignment():
    with pytest.raises(ValueError, match="unknown alignment"):
        crop_resample([torch.rand(1, 1, 4, 4)], torch.ones(1, 4), torch.tensor([0]), (2, 2), alignment="nearest")


def test_crop_without_a_known_image_size_cannot_keep_an_aspect():
    with pytest.raises(ValueError, match="image_size"):
        crop_regions(torch.ones(1, 4), aspect=0.75)


def test_training_warp_takes_the_same_samples():
    """The affine warp of the data set and `crop_resample` show the keypoint stage the same picture."""
    from cascadepose.data.warp import crop_matrix, fit_aspect, warp

    rng = np.random.default_rng(0)
    image = np.kron(rng.integers(0, 255, (8, 10, 3)), np.ones((10, 10, 1))).astype(np.uint8)
    box = np.array([20.0, 10.0, 60.0, 70.0])
    size = fit_aspect(box[2:] - box[:2], 0.75) * 1.25
    warped = warp(image, crop_matrix((box[:2] + box[2:]) / 2, size, (32, 24)), (32, 24))
    boxes = torch.tensor([[0.4, 0.5, 0.4, 0.75]], dtype=torch.float64)
    regions = crop_regions(boxes, torch.tensor([[80, 100]]), 0.75)
    pixels = torch.from_numpy(image).permute(2, 0, 1)[None].double()
    crop = crop_resample([pixels], regions, torch.tensor([0]), (32, 24))[0].permute(1, 2, 0).numpy()
    assert np.abs(crop - warped).mean() < 1.0  # OpenCV rounds positions to 1/32 pixel
