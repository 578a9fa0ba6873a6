"""PoseFormerV2: a few middle frames and the low frequencies of a long window (Zhao et al., CVPR 2023)."""

import math

import torch
from einops import rearrange
from torch import Tensor, nn

from cascadepose.models.lifters.blocks import MLP, Attention, Block, DropPath, drop_rates
from cascadepose.models.lifters.poseformer import EPS, attend_within_frames, position_embedding
from cascadepose.models.pretrained import Pretrained


class PoseFormerV2(Pretrained, nn.Module):
    """Lifts a window of 2D joints to the 3D joints of its middle frame.

    forward: x [B, num_frames, J, in_channels] (x, y normalised as `normalization` says, confidence if in_channels is 3)
             -> [B, 1, J, 3] root-relative joints in metres, camera axes (x right, y down, z away).
    Raises ValueError for a window of another length.

    `kept_frames` frames around the middle go through a spatial transformer and give one token each; the
    `kept_coefficients` lowest DCT coefficients of every coordinate over the whole window give one token each (sections
    3.2 and 3.3). What they cost does not grow with the window. Parameter names equal the official ones.

    embed_dim_ratio  channels of a joint's token; a frame's token has `num_joints` times as many
    depth, num_heads, mlp_ratio  of both transformers
    drop_path        stochastic depth of the last block in training
    causal           the answer is for the window's last frame, and the last frames are kept
    style            how the joints that it sees are made of COCO-17's, see `Skeleton.convert`
    frame_rate, mean_pose  see DSTformer
    """

    frames_out = "center"
    input_skeleton = "coco17"
    skeleton = "h36m17"

    def __init__(
        self,
        num_frames: int = 81,
        kept_frames: int = 9,
        kept_coefficients: int = 9,
        num_joints: int = 17,
        in_channels: int = 2,
        embed_dim_ratio: int = 32,
        depth: int = 4,
        num_heads: int = 8,
        mlp_ratio: float = 2.0,
        drop_path: float = 0.1,
        causal: bool = False,
        normalization: str = "screen",
        style: str = "midpoints",
        frame_rate: float | None = None,
        mean_pose: list[list[float]] | None = None,
    ):
        super().__init__()
        if not (1 <= kept_frames <= num_frames and 1 <= kept_coefficients <= num_frames):
            raise ValueError(
                f"kept_frames {kept_frames} and kept_coefficients {kept_coefficients} must be within "
                f"1..num_frames={num_frames}"
            )
        self.config = {
            "num_frames": num_frames,
            "kept_frames": kept_frames,
            "kept_coefficients": kept_coefficients,
            "num_joints": num_joints,
            "in_channels": in_channels,
            "embed_dim_ratio": embed_dim_ratio,
            "depth": depth,
            "num_heads": num_heads,
            "mlp_ratio": mlp_ratio,
            "drop_path": drop_path,
            "causal": causal,
            "normalization": normalization,
            "style": style,
            "frame_rate": frame_rate,
            "mean_pose": mean_pose,
        }
        self.num_frames, self.in_channels, self.causal = num_frames, in_channels, causal
        self.normalization, self.style = normalization, style
        self.frame_rate, self.mean_pose = frame_rate, mean_pose
        self.kept_coefficients = kept_coefficients
        first = num_frames - kept_frames if causal else num_frames // 2 - kept_frames // 2
        self.kept = slice(first, first + kept_frames)
        dim = embed_dim_ratio * num_joints
        rates = drop_rates(depth, drop_path)
        self.register_buffer("dct", dct_matrix(num_frames, kept_coefficients).float(), persistent=False)
        self.Joint_embedding = nn.Linear(in_channels, embed_dim_ratio)
        self.Freq_embedding = nn.Linear(num_joints * in_channels, dim)
        self.Spatial_pos_embed = position_embedding(num_joints, embed_dim_ratio)
        self.Temporal_pos_embed = position_embedding(kept_frames, dim)
        self.Temporal_pos_embed_ = position_embedding(kept_coefficients, dim)
        self.Spatial_blocks = nn.ModuleList(Block(embed_dim_ratio, num_heads, mlp_ratio, rate, EPS) for rate in rates)
        tokens = kept_coefficients + kept_frames
        self.blocks = nn.ModuleList(MixedBlock(tokens, dim, num_heads, mlp_ratio, rate) for rate in rates)
        self.Spatial_norm = nn.LayerNorm(embed_dim_ratio, eps=EPS)
        self.Temporal_norm = nn.LayerNorm(dim, eps=EPS)
        self.weighted_mean = nn.Conv1d(kept_coefficients, 1, 1)
        self.weighted_mean_ = nn.Conv1d(kept_frames, 1, 1)
        self.head = nn.Sequential(nn.LayerNorm(dim * 2), nn.Linear(dim * 2, num_joints * 3))

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[1] != self.num_frames:
            raise ValueError(f"a window of {x.shape[1]} frames does not fit: this model takes {self.num_frames}")
        tokens = torch.cat([self.encode_frequencies(x), self.encode_frames(x)], dim=1)
        for block in self.blocks:
            tokens = block(tokens)
        tokens = self.Temporal_norm(tokens)
        frequencies, frames = tokens[:, : self.kept_coefficients], tokens[:, self.kept_coefficients :]
        pooled = torch.cat([self.weighted_mean(frequencies), self.weighted_mean_(frames)], dim=-1)
        return rearrange(self.head(pooled), "b t (j c) -> b t j c", c=3)

    def encode_frames(self, x: Tensor) -> Tensor:
        """Tokens of the frames around the middle: [B, T, J, in_channels] -> [B, kept_frames, J * embed_dim_ratio]."""
        joints = self.Joint_embedding(x[:, self.kept]) + self.Spatial_pos_embed
        return attend_within_frames(joints, self.Spatial_blocks, self.Spatial_norm) + self.Temporal_pos_embed

    def encode_frequencies(self, x: Tensor) -> Tensor:
        """Tokens of the window's low frequencies: [B, T, J, C] -> [B, kept_coefficients, J * embed_dim_ratio]."""
        return self.Freq_embedding(self.dct @ x.flatten(2)) + self.Temporal_pos_embed_


class MixedBlock(nn.Module):
    """Attention of all tokens, then an MLP of the first half and one in the frequency domain of the second (3.3).

    The halves are halves of the token count, as in the official code: they are the frequencies and the frames only
    where as many of either are kept.
    """

    def __init__(self, tokens: int, dim: int, num_heads: int, mlp_ratio: float, drop_path: float = 0.0):
        super().__init__()
        self.half = tokens // 2
        hidden = int(dim * mlp_ratio)
        self.norm1 = nn.LayerNorm(dim, eps=EPS)
        self.attn = Attention(dim, num_heads)
        self.drop_path = DropPath(drop_path)
        self.norm2 = nn.LayerNorm(dim, eps=EPS)
        self.mlp1 = MLP(dim, hidden)
        self.norm3 = nn.LayerNorm(dim, eps=EPS)
        self.mlp2 = FrequencyMLP(tokens - self.half, dim, hidden)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.drop_path(self.attn(self.norm1(x)))
        first, second = x[:, : self.half], x[:, self.half :]
        first = first + self.drop_path(self.mlp1(self.norm2(first)))
        second = second + self.drop_path(self.mlp2(self.norm3(second)))
        return torch.cat([first, second], dim=1)


class FrequencyMLP(MLP):
    """The MLP applied to the DCT over the tokens, and back: [B, tokens, dim] -> [B, tokens, dim]."""

    def __init__(self, tokens: int, dim: int, hidden: int):
        super().__init__(dim, hidden)
        self.register_buffer("dct", dct_matrix(tokens).float(), persistent=False)
        self.register_buffer("idct", idct_matrix(tokens).float(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.idct @ super().forward(self.dct @ x)


def dct_matrix(size: int, rows: int | None = None) -> Tensor:
    """The first `rows` (default: all) coefficients of the DCT-II of `size` samples: float64 [rows, size].

    Coefficient k is 2 * sum_n x_n cos(pi k (2n + 1) / (2 size)): not normalised, as the published weights expect it.
    """
    k = torch.arange(size if rows is None else rows, dtype=torch.float64)[:, None]
    n = torch.arange(size, dtype=torch.float64)
    return 2 * torch.cos(math.pi * k * (2 * n + 1) / (2 * size))


def idct_matrix(size: int) -> Tensor:
    """The inverse of `dct_matrix(size)`: float64 [size, size]."""
    inverse = dct_matrix(size).T / (2 * size)
    inverse[:, 0] /= 2
    return inverse
