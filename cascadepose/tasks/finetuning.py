"""Which parts of a model learn, and how fast: training from scratch, fine-tuning, frozen backbones."""

from collections.abc import Mapping

from torch import nn

from cascadepose.errors import InputError

POSITIONS = ("pos_embed", "temp_embed")  # in the names of position tables


def freeze(model: nn.Module, lr_factors: Mapping[str, float]) -> None:
    """Take the parts whose factor is 0 out of training; their batch norms keep their running statistics.

    lr_factors  part of the model ("head", "blocks_st.0", "" for all of it) -> factor on the learning rate; the longest
                name that fits a parameter counts
    Raises InputError for a part that the model does not have and for a negative factor.
    """
    names = [name for name, _ in model.named_parameters()]
    for part, factor in lr_factors.items():
        if factor < 0:
            raise InputError(f"task.lr_factors: {part!r} has the factor {factor}; give 0 to freeze it, or more")
        if not any(_within(name, part) for name in names):
            parts = sorted({name.split(".")[0] for name in names})
            raise InputError(f"task.lr_factors: the model has no part {part!r}; its parts are {', '.join(parts)}")
    for name, parameter in model.named_parameters():
        if lr_factor(name, lr_factors) == 0:
            parameter.requires_grad_(False)
    for module in model.modules():
        frozen = not any(p.requires_grad for p in module.parameters())
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d) and frozen:
            module.momentum = 0.0


def lr_factor(name: str, lr_factors: Mapping[str, float]) -> float:
    """The factor of parameter `name`: that of the longest part it lies in, 1 where none fits."""
    fitting = [part for part in lr_factors if _within(name, part)]
    return lr_factors[max(fitting, key=len)] if fitting else 1.0


def parameter_groups(
    model: nn.Module, lr: float, weight_decay: float, lr_factors: Mapping[str, float] | None = None
) -> list[dict]:
    """AdamW groups of what is not frozen. Matrices decay and come first; biases, norms and position tables do not."""
    groups: dict[tuple[float, bool], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            decayed = parameter.ndim > 1 and not any(word in name for word in POSITIONS)
            groups.setdefault((lr_factor(name, lr_factors or {}), decayed), []).append(parameter)
    return [
        {"params": parameters, "lr": lr * factor, "weight_decay": weight_decay if decayed else 0.0}
        for (factor, decayed), parameters in sorted(groups.items(), key=lambda group: (not group[0][1], group[0][0]))
    ]


def checkpoint_gradients(model: nn.Module) -> None:
    """Compute activations again on the way back instead of keeping them: slower, for less memory.

    Raises InputError for a model that cannot do it.
    """
    if not hasattr(model, "gradient_checkpointing"):
        raise InputError(f"task.gradient_checkpointing: a {type(model).__name__} cannot do it; set it to false")
    model.gradient_checkpointing = True


def _within(name: str, part: str) -> bool:
    return not part or name == part or name.startswith(f"{part}.")
