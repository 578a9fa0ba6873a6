"""Packaging. Tool settings are in pyproject.toml."""

import re
from pathlib import Path

from setuptools import find_packages, setup

here = Path(__file__).parent
version = re.search(r'^__version__ = "(.+)"$', (here / "cascadepose/__init__.py").read_text("utf-8"), re.MULTILINE)[1]

setup(
    name="cascadepose",
    version=version,
    description="Multi-person 2D and 3D human pose from images and video with one cascade of transformers",
    long_description=(here / "README.md").read_text("utf-8") if (here / "README.md").exists() else "",
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    license_files=["LICENSE"],
    python_requires=">=3.11",
    packages=find_packages(include=["cascadepose", "cascadepose.*"]),
    package_data={"cascadepose": ["weights/*", "data/*.json", "visualize/page/*"]},
    install_requires=[
        "torch>=2.11",
        "torchvision>=0.26",
        "timm>=1.0.15",
        "numpy>=1.26",
        "scipy>=1.11",
        "einops>=0.8",
        "safetensors>=0.5",
        "huggingface_hub>=0.30",
        "accelerate>=1.6",
        "jsonargparse[signatures]>=4.49",
        "pyyaml>=6.0",
        "albumentations>=2.0.8,<3",
        "pycocotools>=2.0.8",
        "opencv-python-headless>=4.9",
        "pillow>=10.1",
        "av>=14.0",
        "matplotlib>=3.8",  # carries the photograph of the README's first command
        "tqdm>=4.66",
    ],
    extras_require={
        "test": [
            "pytest>=8.0",
            "hypothesis>=6.100",
            "ruff>=0.12",
            "ezc3d>=1.7",
            "viser>=1.1",
            "onnx>=1.17",
            "onnxruntime>=1.20",
            "mkdocs>=1.6,<2",
            "mkdocs-material>=9.5,<10",
            "mkdocstrings[python]>=1.0",
            "ai-edge-litert>=2.0; platform_system == 'Linux'",  # MoveNet, a peer
        ],
        "c3d": ["ezc3d>=1.7"],
        "docs": ["mkdocs>=1.6,<2", "mkdocs-material>=9.5,<10", "mkdocstrings[python]>=1.0"],
        "onnx": ["onnx>=1.17", "onnxruntime>=1.20"],
        "pandas": ["pandas>=2.0"],
        "view": ["viser>=1.1"],
        "tensorboard": ["tensorboard>=2.16"],
    },
    entry_points={"console_scripts": ["cascadepose=cascadepose.cli:main"]},
    classifiers=[
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Topic :: Scientific/Engineering :: Image Recognition",
    ],
)
