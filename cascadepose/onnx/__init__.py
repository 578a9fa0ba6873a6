"""ONNX: every stage as a file that other runtimes open, and the pipeline on such files.

export_onnx("prtr-mobilenetv2-small", "onnx")     # detector, keypoints, cascade; of a lifter one file
cascadepose.load(backend="onnx")                  # exports what it needs, once, and runs it with onnxruntime
"""

from cascadepose.onnx.export import Exported, export_onnx

__all__ = ["Exported", "export_onnx"]
