import pytest

from benchmarks.ot.workload import Workload, make_case


@pytest.fixture
def case():
    return make_case(Workload(3, 9, 5, 16))
