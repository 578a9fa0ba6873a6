"""Temporal convolutions with residuals (VideoPose3D, Pavllo et al., CVPR 2019, section 3): the baseline of lifters."""

from collections.abc import Sequence
from math import prod

from einops import rearrange
from torch import Tensor, nn

from cascadepose.models.pretrained import Pretrained


class TCN(Pretrained, nn.Module):
    """Lifts each frame of a sequence to 3D from the frames around it, or before it.

    forward: x [B, T, J, in_channels] (x, y normalised as `normalization` says), T >= num_frames
             -> [B, T - num_frames + 1, out_joints, 3] root-relative joints in metres, camera axes: one frame for a
                window of num_frames (the middle one, the last one if causal), every frame that has its whole window
                for a longer sequence. Pad a sequence with its end frames to keep its length.

    widths    odd filter widths; their product is num_frames, the receptive field (3, 3, 3, 3, 3: 243 frames)
    dim       channels
    causal    look at the past only: an answer needs no future frame
    seen_skeleton, style  the joints it sees and how they are made of COCO-17's, see `Skeleton.convert`; "coco17" for a
              network that learned the conversion itself

    A single window runs as strided convolutions, which compute what its one answer needs and nothing else (section 5.1
    of the paper); the answer is that of the dilated form.
    """

    frames_out = "center"
    input_skeleton = "coco17"
    skeleton = "h36m17"

    def __init__(
        self,
        widths: Sequence[int] = (3, 3, 3, 3, 3),
        dim: int = 1024,
        dropout: float = 0.25,
        causal: bool = False,
        num_joints: int = 17,
        out_joints: int = 17,
        in_channels: int = 2,
        normalization: str = "screen",
        seen_skeleton: str = "h36m17",
        style: str = "midpoints",
        frame_rate: float | None = None,
        mean_pose: list[list[float]] | None = None,
    ):
        super().__init__()
        widths = [int(width) for width in widths]
        if not widths or any(width < 1 or width % 2 == 0 for width in widths):
            raise ValueError(f"widths {widths}: give at least one, each of them odd")
        self.config = {
            "widths": widths,
            "dim": dim,
            "dropout": dropout,
            "causal": causal,
            "num_joints": num_joints,
            "out_joints": out_joints,
            "in_channels": in_channels,
            "normalization": normalization,
            "seen_skeleton": seen_skeleton,
            "style": style,
            "frame_rate": frame_rate,
            "mean_pose": mean_pose,
        }
        self.num_frames, self.causal, self.in_channels = prod(widths), causal, in_channels
        self.seen_skeleton, self.style, self.normalization = seen_skeleton, style, normalization
        self.frame_rate, self.mean_pose = frame_rate, mean_pose
        self.expand = nn.Conv1d(num_joints * in_channels, dim, widths[0], bias=False)
        self.expand_norm = nn.BatchNorm1d(dim)
        self.act = nn.ReLU()
        self.drop = nn.Dropout(dropout)
        self.blocks = nn.ModuleList(
            ResidualBlock(dim, width, prod(widths[: i + 1]), causal, dropout) for i, width in enumerate(widths[1:])
        )
        self.head = nn.Conv1d(dim, out_joints * 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        frames = x.shape[1]
        if frames < self.num_frames:
            raise ValueError(f"{frames} frames are fewer than num_frames={self.num_frames}; pad the sequence")
        strided = frames == self.num_frames
        x = rearrange(x, "b t j c -> b (j c) t")
        x = nn.functional.conv1d(x, self.expand.weight, stride=self.expand.kernel_size[0] if strided else 1)
        x = self.drop(self.act(self.expand_norm(x)))
        for block in self.blocks:
            x = block(x, strided)
        return rearrange(self.head(x), "b (j d) t -> b t j d", d=3)


class ResidualBlock(nn.Module):
    """A temporal convolution and one across channels, each with norm, ReLU and dropout: [B, C, T] -> [B, C, T'].

    forward(x, strided): dilated, T' = T - (width - 1) * dilation; strided, T' = T / width, where the frames of x are
    those that are `dilation` apart in the dilated form.
    """

    def __init__(self, dim: int, width: int, dilation: int, causal: bool, dropout: float):
        super().__init__()
        self.width, self.dilation = width, dilation
        self.offset = width - 1 if causal else width // 2  # the tap that an output frame stands for
        self.conv = nn.Conv1d(dim, dim, width, dilation=dilation, bias=False)
        self.norm = nn.BatchNorm1d(dim)
        self.mix = nn.Conv1d(dim, dim, 1, bias=False)
        self.mix_norm = nn.BatchNorm1d(dim)
        self.act = nn.ReLU()
        self.drop = nn.Dropout(dropout)

    def forward(self, x: Tensor, strided: bool) -> Tensor:
        if strided:
            residual = x[..., self.offset :: self.width]
            x = nn.functional.conv1d(x, self.conv.weight, stride=self.width)
        else:
            start = self.offset * self.dilation
            residual = x[..., start : x.shape[-1] - (self.width - 1) * self.dilation + start]
            x = self.conv(x)
        x = self.drop(self.act(self.norm(x)))
        return residual + self.drop(self.act(self.mix_norm(self.mix(x))))
