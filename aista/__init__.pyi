from aista.api import Experiment as Experiment
from aista.api import Model as Model
from aista.api import load as load
from aista.data.recorded import Waveform as Waveform
from aista.engine.inference.layer_states import UtteranceStates as UtteranceStates
from aista.engine.inference.translate import Translation as Translation
from aista.errors import AistaError as AistaError
from aista.run_folder.evaluations import Evaluation as Evaluation
from aista.selection.curve import ProbeCurve as ProbeCurve

__version__: str
