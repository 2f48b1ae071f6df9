"""Models whose operations are fused by torch's compiler: steps of half the operations' memory traffic on a GPU.

This module needs torch to be imported.
"""

from __future__ import annotations

import importlib.util
import shutil
from typing import Any

from telbench.errors import InputError

from ..losses.heads import decoder_of
from ..teacher.rows import LiveTeacher, TeacherRows
from .distiller import Distiller


def compile_models(distiller: Distiller, teacher: TeacherRows | None) -> None:
    """Compile the layers of student and live teacher in place, and the losses' closed forms; names of weights stay.

    Layer by layer, as all layers of a model are one program. It is made at the first step, and again for a few other
    lengths of batches.

    Raises:
        InputError: where there is no compiler to do it with.
    """
    device = distiller.student.get_output_embeddings().weight.device
    if device.type == "cuda" and importlib.util.find_spec("triton") is None:
        raise InputError("compile needs triton on a GPU: pip install triton, or leave compile out")
    if device.type == "cpu" and not any(shutil.which(name) for name in ("c++", "g++", "clang++")):
        raise InputError("compile needs a C++ compiler on a processor: install g++, or leave compile out")
    for layer in (*_layers(distiller.student), *(_layers(teacher.model) if isinstance(teacher, LiveTeacher) else ())):
        layer.compile()
    distiller.fuse()


def _layers(model: Any) -> list[Any]:
    """The model's layers, or its whole decoder where they have another name."""
    decoder = decoder_of(model)
    return list(getattr(decoder, "layers", None) or [decoder])
