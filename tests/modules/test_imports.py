"""Components must be listed on machines without fairseq2 and transformers."""

import subprocess
import sys

PROGRAM = """
import sys

for name in ("fairseq2", "fairseq2n", "transformers"):
    sys.modules[name] = None  # importing them raises ImportError

from aista import registry

print(*(name for kind in ("encoder", "adapter") for name in registry.names(kind)))
import aista.modules.ctc_model, aista.modules.freezing
"""


def test_encoders_and_adapters_are_listed_without_fairseq2_and_transformers():
    result = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    names = result.stdout.split()
    assert {"conformer", "hf_speech", "w2v_bert", "wav2vec2", "whisper"} <= set(names)
    assert {"linear", "mlp", "conv", "frame_stack"} <= set(names)
    assert {"transformer", "qformer", "window_qformer", "ctc_compress", "cif", "moe"} <= set(names)
    assert names.count("conformer") == 2
