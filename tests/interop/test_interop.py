#!/usr/bin/env python3
"""Our engine and the reference implementation, each way, with and without loss: 20 MB, compared byte for byte."""
import sys
import unittest

from peers import Scene

OURS, THEIRS, SECOND = 1, 99, 98
BLOCKS = 111  # × 128 × 1408 = 20 004 864 bytes
SIZE = BLOCKS * 128 * 1408


class InteropCase(unittest.TestCase):
    def setUp(self):
        self.scene = Scene(receivers=2)
        self.addCleanup(self.scene.close)


class ToNrl(InteropCase):
    """Our sender, their receiver."""

    def transfer(self, *nrl_options, mc_options=()):
        source, target = self.scene.make_object(BLOCKS), self.scene.path('received')
        receiver = self.scene.nrl('receive', 'r1', THEIRS, target, *nrl_options)
        receiver.wait_for('ready')
        sender = self.scene.mc('send', 'srv', OURS, source, '--object', 7, '--rate', 100_000_000, '--ack', THEIRS,
                               *mc_options)
        self.assertEqual(receiver.wait_for('completed'), str(SIZE))
        # It ends because the receiver acknowledged the watermark, not because it gave up.
        self.scene.check_ends(sender)
        self.scene.check_ends(receiver)
        self.scene.check_same(source, target)
        return sender.stats()

    def test_without_loss(self):
        stats = self.transfer('--unicast-nack', mc_options=['--auto-parity', 2])
        # Next to nothing besides: only the start may lose a few packets to libnorm.
        self.assertEqual(stats['parity'], BLOCKS * 2 * 1408)
        self.assertLess(stats['repair'], SIZE * 0.03)

    def test_with_5_percent_loss(self):
        stats = self.transfer('--unicast-nack', '--rx-loss', 5)
        self.assertGreater(stats['nacks'], 0)
        self.assertLess(stats['repair'], SIZE * 0.15)

    def test_with_5_percent_loss_and_nacks_to_the_group(self):
        stats = self.transfer('--rx-loss', 5, mc_options=['--multicast-nack'])
        self.assertGreater(stats['nacks'], 0)


    def test_with_fec_id_5(self):
        self.transfer('--unicast-nack', '--rx-loss', 5, mc_options=['--fec', 5])

    def test_late_joiner(self):
        # It asks for 255 objects of the past, too, which have to be squelched.
        source, targets = self.scene.make_object(BLOCKS), [self.scene.path('0'), self.scene.path('1')]
        receivers = [self.scene.nrl('receive', 'r1', THEIRS, targets[0], '--unicast-nack')]
        receivers[0].wait_for('ready')
        sender = self.scene.mc('send', 'srv', OURS, source, '--rate', 100_000_000, '--ack', THEIRS, '--ack', SECOND)
        receivers[0].wait_for('object')
        receivers.append(self.scene.nrl('receive', 'r2', SECOND, targets[1], '--unicast-nack', '--rx-loss', 2))
        for receiver, target in zip(receivers, targets):
            receiver.wait_for('completed')
            self.scene.check_same(source, target)
        self.scene.check_ends(sender)

    def test_with_fec_id_2(self):
        self.transfer('--unicast-nack', '--rx-loss', 5, mc_options=['--fec', 2])

    def test_with_more_loss_than_parity(self):
        self.transfer('--unicast-nack', '--rx-loss', 10, mc_options=['--parity', 4])

    def test_with_auth_extension(self):
        # libnorm skips EXT_AUTH, but cannot produce it: it completes, and its acknowledgement counts as forged.
        source, target = self.scene.make_object(8), self.scene.path('received')
        receiver = self.scene.nrl('receive', 'r1', THEIRS, target, '--unicast-nack')
        receiver.wait_for('ready')
        self.scene.mc('send', 'srv', OURS, source, '--auto-parity', 32, '--rate', 30_000_000, '--ack', THEIRS, '--auth', 7)
        receiver.wait_for('completed')
        self.scene.check_ends(receiver)
        self.scene.check_same(source, target)


class FromNrl(InteropCase):
    """Their sender, our receiver."""

    def transfer(self, loss, *nrl_options, mc_options=()):
        source, target = self.scene.make_object(BLOCKS), self.scene.path('received')
        self.scene.lab.call('loss', 'r1', str(loss))
        receiver = self.scene.mc('receive', 'r1', OURS, target, '--sender', THEIRS, '--object', 0, '--size', SIZE,
                           *mc_options)
        receiver.wait_for('ready')
        sender = self.scene.nrl('send', 'srv', THEIRS, source, '--rate', 100_000_000, '--ack', OURS, *nrl_options)
        self.assertEqual(receiver.wait_for('completed'), str(SIZE))
        self.assertEqual(sender.wait_for('ack'), f'{OURS} success')
        self.scene.check_ends(sender)
        self.scene.check_ends(receiver)
        self.scene.check_same(source, target)
        return receiver.stats()

    def test_without_loss(self):
        stats = self.transfer(0)
        self.assertLess(stats['lost'], 100)

    def test_with_5_percent_loss(self):
        stats = self.transfer(5)
        self.assertGreater(stats['nacks'], 0)
        self.assertGreater(stats['repair'], 0)

    def test_with_5_percent_loss_and_nacks_to_the_group(self):
        self.transfer(5, mc_options=['--multicast-nack'])

    def test_with_info_and_proactive_parity(self):
        self.transfer(5, '--info', 'name', '--auto-parity', 8)

    def test_with_fec_id_5(self):
        self.transfer(5, '--fec', 5, mc_options=['--fec', 5])

    def test_with_more_loss_than_parity(self):
        # Asking beyond the last parity symbol of a block would crash libnorm's sender.
        self.transfer(10, '--parity', 4, mc_options=['--parity', 4])

    def test_late_joiner_in_a_mixed_group(self):
        source, targets = self.scene.make_object(BLOCKS), [self.scene.path('0'), self.scene.path('1')]
        self.scene.lab.call('loss', 'r2', '2')
        receivers = [self.scene.nrl('receive', 'r1', SECOND, targets[0], '--unicast-nack', '--rx-loss', 2)]
        receivers[0].wait_for('ready')
        sender = self.scene.nrl('send', 'srv', THEIRS, source, '--rate', 100_000_000, '--ack', OURS, '--ack', SECOND)
        receivers[0].wait_for('object')
        receivers.append(self.scene.mc('receive', 'r2', OURS, targets[1], '--sender', THEIRS, '--object', 0,
                                       '--size', SIZE))
        for receiver, target in zip(receivers, targets):
            receiver.wait_for('completed')
            self.scene.check_same(source, target)
        self.scene.check_ends(sender)


if __name__ == '__main__':
    unittest.main(argv=[sys.argv[0], *sys.argv[1:]])
