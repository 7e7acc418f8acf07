"""What a maker of conformance cases hands to the harness: a model, rows, and what its framework says.

A maker is a module with `def cases(full: bool) -> Iterator[Case]`: a part when not full, all when full.
"""

from dataclasses import dataclass, field

import numpy as np


@dataclass
class Case:
    name: str  # unique over all makers, fit for a file name: "sklearn_svc_rbf"
    model: bytes  # the ONNX file
    # By name. Strings are arrays of dtype object that hold str; everything else has the model's own dtype.
    inputs: dict[str, np.ndarray]
    # The framework's own answers, not ONNX Runtime's, by the model's output name. An output that is not
    # named here is not compared. Labels (integers, strings) must be equal.
    expected: dict[str, np.ndarray]
    # Numbers: |ours - expected| <= atol + rtol * |expected|. NaN equals NaN.
    rtol: float
    atol: float
    # Rows whose label may differ, because the two best scores are closer than the bound above.
    ties: int = 0
    # Where ONNX Runtime and the framework are known to disagree: why, and which of them we follow; that
    # one's answers are `expected`. "": both must be within the bound.
    disagreement: str = ""
    # The framework's own answers where `expected` are not those; shown, not demanded.
    framework: dict[str, np.ndarray] = field(default_factory=dict)
