#!/usr/bin/env python3
"""Receivers of ours and of the reference implementation in one group, under either's sender: docs/norm.md section 7, item
33. Every content is compared by SHA-256."""
import collections
import unittest

from peers import OURS, RATE, THEIRS, InteropCase, acks

OUR_SENDER, THEIR_SENDER = 11, 12
BLOCKS = 100
EVENTS = range(4, BLOCKS, 6)  # 16 blocks of which everybody misses the same symbols


class Mixed(InteropCase):
    def our_sender(self, source, nodes, *options):
        # Libnorm may be away for long enough to spoil the GRTT and so the timing: it is given.
        return self.scene.norm('send', 'srv', OUR_SENDER, source, '--rate', RATE, '--grtt-ms', 20, *acks(*nodes), *options)

    def their_sender(self, source, nodes, *_):
        return self.scene.nrl('send', 'srv', THEIR_SENDER, source, '--rate', RATE, '--grtt', 0.02, *acks(*nodes))

    def receivers(self, ours, theirs):
        """Our receivers on r1 …, theirs behind them."""
        found = [self.scene.norm('receive', f'r{i + 1}', OURS + i, self.scene.path(f'o{i}'), '--multicast-nack')
                 for i in range(ours)]
        found += [self.scene.nrl('receive', f'r{ours + i + 1}', THEIRS + i, self.scene.path(f't{i}'), '--sync-current')
                  for i in range(theirs)]
        for receiver in found:
            receiver.wait_for('ready')
        return found

    def transfer(self, sender, ours, theirs, blocks=BLOCKS):
        """Number of NACKs by node."""
        source, receivers = self.scene.make_object(blocks), self.receivers(ours, theirs)
        self.scene.tap()
        sending = sender(source, [*range(OURS, OURS + ours), *range(THEIRS, THEIRS + theirs)], '--multicast-nack')
        self.complete(source, receivers)
        self.end(sending, *receivers)
        return collections.Counter(m.source_id for m in self.scene.captured() if m.kind == 'NACK')

    def loss(self, sender):
        """1 and 10 % loss, each for one of ours and one of theirs."""
        self.scene.losses([1, 10, 1, 10])
        nacks = self.transfer(sender, 2, 2, 20)
        ours, theirs = nacks[OURS] + nacks[OURS + 1], nacks[THEIRS] + nacks[THEIRS + 1]
        self.assertGreater(theirs, 0)
        self.assertGreater(ours, 0)
        # Who loses as much asks about as often.
        self.assertLessEqual(ours, 3 * theirs + 4)

    def test_33_loss_under_our_sender(self):
        self.loss(self.our_sender)

    def test_33_loss_under_their_sender(self):
        self.loss(self.their_sender)

    def overheard(self, sender):
        for block in EVENTS:
            self.scene.drop_shared(block, '20-24')
        nacks = self.transfer(sender, 1, 1)
        # Without suppression it were two for each of them; and each side gives way to the other at times.
        self.assertLessEqual(nacks.total(), 1.5 * len(EVENTS))
        self.assertLess(nacks[OURS], len(EVENTS))
        self.assertLess(nacks[THEIRS], len(EVENTS))

    def test_33_suppression_under_our_sender(self):
        # Checks RFC5740 5.3.
        self.overheard(self.our_sender)

    def test_33_suppression_under_their_sender(self):
        # Checks RFC5740 5.3.
        self.overheard(self.their_sender)


if __name__ == '__main__':
    unittest.main()
