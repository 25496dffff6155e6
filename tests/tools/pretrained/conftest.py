import json

import pytest
import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import WhisperForConditionalGeneration

from tests.modules.encoders.test_whisper import tiny_config
from tests.tools.pretrained.ct2_file import model_bytes

END = "<|endoftext|>"
ADDED = ["<|startoftranscript|>", "<|startofprev|>", "<|notimestamps|>"]
TIMES = ["<|0.00|>", "<|0.02|>"]


@pytest.fixture(scope="package")
def whisper():
    """A tiny Whisper with weights that float16 holds."""
    torch.manual_seed(0)
    config = tiny_config()
    config.update({"vocab_size": 257 + len(ADDED) + len(TIMES), "decoder_attention_heads": 4, "decoder_ffn_dim": 20})
    config.update({"decoder_start_token_id": 257, "bos_token_id": 256, "eos_token_id": 256, "pad_token_id": 256})
    model = WhisperForConditionalGeneration(config).eval()
    for parameter in model.parameters():
        parameter.data = (parameter.data + 0.2 * torch.randn_like(parameter)).half().float()
    return model


@pytest.fixture(scope="package")
def ct2_arrays(whisper):
    """The model as CTranslate2 stores it."""
    state = {name: tensor.half() for name, tensor in whisper.state_dict().items()}
    config, arrays = whisper.config, {}

    def norm(target, source):
        arrays[f"{target}/gamma"], arrays[f"{target}/beta"] = state[f"{source}.weight"], state[f"{source}.bias"]

    def linear(target, *sources):
        weights = [state[f"{source}.weight"] for source in sources]
        biases = [state.get(f"{source}.bias", torch.zeros(config.d_model).half()) for source in sources]
        arrays[f"{target}/weight"], arrays[f"{target}/bias"] = torch.cat(weights), torch.cat(biases)

    for part, count in (("encoder", config.encoder_layers), ("decoder", config.decoder_layers)):
        arrays[f"{part}/position_encodings/encodings"] = state[f"model.{part}.embed_positions.weight"]
        norm(f"{part}/layer_norm", f"model.{part}.layer_norm")
        heads = config.encoder_attention_heads if part == "encoder" else config.decoder_attention_heads
        arrays[f"{part}/num_heads"] = torch.tensor(heads, dtype=torch.int16)
        for index in range(count):
            new, old = f"{part}/layer_{index}", f"model.{part}.layers.{index}"
            own, other = f"{old}.self_attn", f"{old}.encoder_attn"
            norm(f"{new}/self_attention/layer_norm", f"{own}_layer_norm")
            linear(f"{new}/self_attention/linear_0", f"{own}.q_proj", f"{own}.k_proj", f"{own}.v_proj")
            linear(f"{new}/self_attention/linear_1", f"{own}.out_proj")
            norm(f"{new}/ffn/layer_norm", f"{old}.final_layer_norm")
            linear(f"{new}/ffn/linear_0", f"{old}.fc1")
            linear(f"{new}/ffn/linear_1", f"{old}.fc2")
            if part == "decoder":
                norm(f"{new}/attention/layer_norm", f"{other}_layer_norm")
                linear(f"{new}/attention/linear_0", f"{other}.q_proj")
                linear(f"{new}/attention/linear_1", f"{other}.k_proj", f"{other}.v_proj")
                linear(f"{new}/attention/linear_2", f"{other}.out_proj")
    for conv in ("conv1", "conv2"):
        for leaf in ("weight", "bias"):
            arrays[f"encoder/{conv}/{leaf}"] = state[f"model.encoder.{conv}.{leaf}"]
    arrays["decoder/embeddings/weight"] = state["model.decoder.embed_tokens.weight"]
    flags = {"activation": 3, "alibi": 0, "pre_norm": 1, "scale_embeddings": 0, "start_from_zero_embedding": 0}
    arrays |= {f"decoder/{name}": torch.tensor(value, dtype=torch.int8) for name, value in flags.items()}
    return arrays


@pytest.fixture
def whisper_files(ct2_arrays, tmp_path):
    """The files of a converted Whisper."""
    folder = tmp_path / "source"
    folder.mkdir()
    aliases = {"decoder/projection/weight": "decoder/embeddings/weight"}
    (folder / "model.bin").write_bytes(model_bytes(ct2_arrays, aliases))
    settings = {"alignment_heads": [[0, 1]], "suppress_ids": [5, 6], "suppress_ids_begin": [7, 256]}
    (folder / "config.json").write_text(json.dumps(settings))
    alphabet = [*sorted(pre_tokenizers.ByteLevel.alphabet()), END]
    backend = Tokenizer(models.BPE(vocab={token: id for id, token in enumerate(alphabet)}, merges=[]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    backend.add_special_tokens([AddedToken(token, normalized=False) for token in [END, *ADDED]])
    backend.save(str(folder / "tokenizer.json"))
    (folder / "vocabulary.txt").write_text("\n".join([*alphabet, *ADDED, *TIMES]) + "\n", encoding="utf-8")
    return {path.name: path for path in folder.iterdir()}
