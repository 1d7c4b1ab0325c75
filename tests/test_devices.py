import chainer
import pytest

from ram.devices import get_device
from ram.errors import RamError


@pytest.mark.parametrize('name', ['@cupy:0', '7', 'gpu', '@native', '-1'])
def test_get_device_refuses_what_is_not_available(name):
    if name.strip('@cupy:').isdigit() and chainer.backends.cuda.available:
        pytest.skip('there is a GPU')
    with pytest.raises(RamError, match='--device'):
        get_device(name)
