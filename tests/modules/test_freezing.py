import pytest
import torch
from torch import nn

from aista.modules.freezing import FrozenInEval, freeze, keep_frozen_in_eval


class Model(FrozenInEval):
    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(2, 3), nn.Dropout(0.5), nn.BatchNorm1d(3))  # 9 + 6 numbers
        self.encoder_extra = nn.Linear(3, 3)  # 12
        self.llm = nn.ModuleDict({"embed": nn.Embedding(5, 3), "head": nn.Linear(3, 5, bias=False)})  # 15, tied
        self.llm["head"].weight = self.llm["embed"].weight
        self.dropout = nn.Dropout(0.5)


def frozen(model: nn.Module) -> set[str]:
    return {name for name, p in model.named_parameters(remove_duplicate=False) if not p.requires_grad}


ENCODER = {"encoder.0.weight", "encoder.0.bias", "encoder.2.weight", "encoder.2.bias"}
EXTRA = {"encoder_extra.weight", "encoder_extra.bias"}
LLM = {"llm.embed.weight", "llm.head.weight"}


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        ([], set()),
        (["encoder"], ENCODER),  # a whole name, so not encoder_extra
        (["encoder.*"], ENCODER | EXTRA),
        ([r"encoder\.0"], {"encoder.0.weight", "encoder.0.bias"}),
        ([r".*\.bias"], {"encoder.0.bias", "encoder.2.bias", "encoder_extra.bias"}),
        ([r"encoder\.[0-1]|encoder_extra"], {"encoder.0.weight", "encoder.0.bias"} | EXTRA),
        (["encoder", "encoder_extra"], ENCODER | EXTRA),
        (["llm"], LLM),
        ([r"llm\.head"], LLM),  # tied: one tensor under two names
    ],
)
def test_patterns(patterns, expected):
    model = Model()
    freeze(model, patterns)
    assert frozen(model) == expected


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("encoderr", r"'encoderr' matches no parameter \(did you mean 'encoder'\?\).*: encoder, encoder_extra, llm"),
        ("llm.embd", r"'llm.embd' matches no parameter \(did you mean 'llm.embed'\?\)"),
        ("dropout", "'dropout' matches no parameter"),
        ("encoder[", r"'encoder\[' is not a regular expression: unterminated character set"),
    ],
)
def test_patterns_that_match_nothing(pattern, message):
    model = Model()
    with pytest.raises(ValueError, match=message):
        freeze(model, [pattern])


def test_a_wrong_pattern_freezes_nothing():
    model = Model()
    with pytest.raises(ValueError, match="nowhere"):
        freeze(model, ["encoder", "nowhere"])
    assert frozen(model) == set()


def test_frozen_modules_stay_in_eval_mode():
    model = Model()
    freeze(model, ["encoder"])
    for _ in range(2):
        assert model.training
        assert not any(module.training for module in model.encoder.modules())
        assert all(module.training for module in (model.encoder_extra, model.llm, model.dropout))
        model.eval()
        assert not any(module.training for module in model.modules())
        assert model.train() is model


def test_partly_frozen_modules_train():
    model = Model()
    freeze(model, [r"encoder\.2"])
    assert model.encoder.training
    assert model.encoder[0].training
    assert model.encoder[1].training  # has no parameters of its own
    assert not model.encoder[2].training


def test_frozen_batch_norm_keeps_its_statistics():
    model = Model()
    freeze(model, ["encoder"])
    model.train()
    before = model.encoder[2].running_mean.clone()
    model.encoder(torch.randn(4, 2))
    assert torch.equal(model.encoder[2].running_mean, before)


def test_works_inside_a_plain_module():
    outer = nn.Sequential(Model(), nn.Linear(2, 2))
    freeze(outer, [r"0\.encoder"])
    outer.train()
    assert not outer[0].encoder.training  # the mixin acts wherever it is nested
    plain = nn.Sequential(nn.Sequential(nn.Linear(2, 2), nn.Dropout()), nn.Linear(2, 2))
    freeze(plain, ["0"])
    plain.train()
    assert plain[0].training
    keep_frozen_in_eval(plain)
    assert not plain[0][1].training
    assert plain[1].training
