import pytest
from torch import nn

from aista.modules.freezing import FrozenInEval
from aista.modules.trainable import select_trainable
from aista.modules.tuning.frozen import FrozenTuning
from aista.modules.tuning.full import FullTuning
from aista.modules.tuning.layers import LayersConfig, LayersTuning
from aista.modules.tuning.lora import LoraConfig, LoraTuning
from aista.testing.dummies import DummyAdapter, DummyEncoder, DummyLanguageModel


class Model(FrozenInEval):
    def __init__(self, **tunings):
        super().__init__()
        self.encoder, self.adapter, self.llm = DummyEncoder(), DummyAdapter(), DummyLanguageModel(num_layers=3)
        for name, tuning in tunings.items():
            tuning.prepare(getattr(self, name))


def trained(model):
    return {name for name, parameter in model.named_parameters() if parameter.requires_grad}


def test_without_anything_all_is_trained():
    model = Model()
    table = select_trainable(model, {}, ())
    assert trained(model) == {name for name, _ in model.named_parameters()}
    assert table.total.share == 1


def test_tunings_and_patterns_share_the_parts():
    tunings = {"llm": LoraTuning(LoraConfig(r=2)), "encoder": FrozenTuning()}
    model = Model(**tunings)
    table = select_trainable(model, tunings, [r"adapter\.linear\.bias"])
    names = {
        f"llm.blocks.{k}.{layer}.lora_{m}.default.weight" for k in range(3) for layer in ("mix", "gate") for m in "AB"
    }
    assert trained(model) == {"adapter.linear.weight", *names}
    assert [(row.part, row.total, row.trainable) for row in table.parts] == [
        ("encoder", 80 * 16 + 16, 0),
        ("adapter", 16 * 24 + 24, 16 * 24),
        ("llm", 20 * 24 + 6 * (24 * 24 + 24) + 48 + 12 * 2 * 24, 12 * 2 * 24),
    ]


def test_the_table_as_text_and_as_json():
    tunings = {"llm": FrozenTuning(), "encoder": FullTuning()}
    table = select_trainable(Model(), tunings, ())
    assert str(table).splitlines() == [
        "part     parameters  trainable    share",
        "encoder       1,296      1,296  100.00%",
        "adapter         408        408  100.00%",
        "llm           4,128          0    0.00%",
        "model         5,832      1,704   29.22%",
    ]
    assert table.to_json()["model"] == {"total": 5832, "trainable": 1704, "share": 0.292181}
    assert list(table.to_json()) == ["encoder", "adapter", "llm", "model"]


def test_tied_parameters_count_once_and_are_trained_with_either_name():
    model = Model()
    model.head = nn.Linear(24, 20, bias=False)
    model.head.weight = model.llm.embedding.weight
    table = select_trainable(model, {"llm": LayersTuning(LayersConfig(last=0, embeddings=True))}, ())
    assert [row.total for row in table.parts] == [1296, 408, 4128]
    assert table.parts[-1].trainable == 20 * 24


def test_frozen_parts_are_in_eval_mode_and_stay_there():
    model = Model()
    select_trainable(model.train(), {"encoder": FrozenTuning(), "llm": LayersTuning(LayersConfig(last=1))}, ())
    for _ in range(2):
        assert not model.encoder.training
        assert [block.training for block in model.llm.blocks] == [False, False, True]
        assert model.adapter.training
        model.train()


@pytest.mark.parametrize(
    ("tunings", "patterns", "message"),
    [
        (
            {"llm": LoraTuning(LoraConfig())},
            ["llm"],
            r"freeze_params: 'llm' names parameters of the llm \(e\.g\. llm\.embedding\.weight\), whose training "
            r"llm\.tuning decides; take the pattern out, or remove llm\.tuning",
        ),
        ({"encoder": FullTuning()}, [r".*\.bias"], r"'.*' names parameters of the encoder"),
        ({"llm": FullTuning()}, ["encodr"], "'encodr' matches no parameter"),
        ({"llm": FrozenTuning()}, ["encoder", "adapter"], "no parameter of the model is trained"),
        ({"llm": FrozenTuning()}, ["("], "is not a regular expression"),
        ({"adapter": LayersTuning(LayersConfig())}, [], "DummyAdapter has none"),
    ],
)
def test_what_cannot_be_followed(tunings, patterns, message):
    with pytest.raises(ValueError, match=message):
        select_trainable(Model(), tunings, patterns)


def test_selecting_again_starts_anew():
    model = Model()
    select_trainable(model, {"encoder": FrozenTuning()}, ["llm"])
    select_trainable(model, {}, ["adapter"])
    assert trained(model) == {n for n, _ in model.named_parameters() if not n.startswith("adapter")}
