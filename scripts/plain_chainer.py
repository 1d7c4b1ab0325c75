"""RAM in ordinary Chainer: a whole training in one file; read it first.

    python scripts/plain_chainer.py --core lstm --epochs 20 --device @cupy:0

It trains on digits that the program draws, with the Links of ram/links and
the loss of ram/losses.py. `ram train` does the same with YAML configurations,
faster engines and runs that can be resumed.
"""

import argparse

import ram  # noqa: F401  isort: skip  (it lets Chainer import on NumPy 2)
import chainer
from chainer import training
from chainer.training import extensions

from ram import links
from ram.data.synthetic import make_digits
from ram.losses import Objective, loss_by_links
from ram.models.ram import RAM
from ram.random_streams import make_streams


def build_model(core, rng):
    """The network of Section 3: 6 glimpses of 8x8 pixels."""
    return RAM(
        glimpse=links.GlimpseNetwork(links.GlimpseSensor(size=8), channels=1,
                                     rng=rng),
        core=(links.LSTMCore if core == 'lstm' else links.RNNCore)(
            256, 256, rng=rng),
        location=links.LocationNetwork(256, hidden_units=128, rng=rng),
        action=links.ActionNetwork(256, classes=10, rng=rng),
        baseline=links.BaselineNetwork(256, rng=rng),
        glimpses=6, std=0.1)


class TrainChain(chainer.Chain):
    """The model with its hybrid loss, as Chainer's updaters want it."""

    def __init__(self, model, streams):
        super().__init__()
        self._streams = streams
        with self.init_scope():
            self.model = model

    def forward(self, images, labels):
        # In evaluation the policy follows its mean.
        first, noise = self.model.sample_noise(
            self._streams, len(images), mean=not chainer.config.train)
        result = loss_by_links(self.model, images, labels, first, noise,
                               Objective(reinforce_weight=0.01))
        error = 100 * (result.logits.argmax(axis=1) != labels).mean()
        chainer.report({'loss': result.loss.total, 'error': error}, self)
        return result.loss.total


def load_digits(count, part):
    """(N, 1, 28, 28) float32 images in [0, 1] with (N,) int32 labels."""
    images, labels = make_digits(count, seed=1, part=part)
    images = images[:, None].astype('float32') / 255
    return chainer.datasets.TupleDataset(images, labels)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--epochs', type=int, default=15)
    parser.add_argument('--core', choices=('rnn', 'lstm'), default='rnn')
    parser.add_argument('--device', default='@numpy')
    parser.add_argument('--out', default='result')
    args = parser.parse_args()
    device = chainer.get_device(args.device)
    device.use()
    streams = make_streams(seed=1)
    chain = TrainChain(build_model(args.core, streams['weights']), streams)
    chain.to_device(device)
    optimizer = chainer.optimizers.Adam(1e-3).setup(chain)
    optimizer.add_hook(chainer.optimizer_hooks.GradientClipping(5))
    train = chainer.iterators.SerialIterator(
        load_digits(12000, 'train'), 128,
        order_sampler=lambda order, _: streams['order'].permutation(12000))
    held_out = chainer.iterators.SerialIterator(
        load_digits(2000, 'test'), 500, repeat=False, shuffle=False)
    trainer = training.Trainer(
        training.updaters.StandardUpdater(train, optimizer, device=device),
        (args.epochs, 'epoch'), args.out)
    trainer.extend(extensions.Evaluator(held_out, chain, device=device),
                   name='validation')
    log = extensions.LogReport()
    trainer.extend(log)
    trainer.extend(extensions.PrintReport(
        ['epoch', 'main/loss', 'main/error', 'validation/main/error']))
    trainer.extend(extensions.snapshot(n_retains=1))
    trainer.run()
    print(f'error {log.log[-1]["validation/main/error"]:.2f} % on 2000 other '
          f'images; files in {args.out}')


if __name__ == '__main__':
    main()
