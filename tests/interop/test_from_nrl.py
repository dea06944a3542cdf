#!/usr/bin/env python3
"""A sender of the reference implementation towards our receivers: docs/norm.md section 7, items 21 to 32. Every content is
compared by SHA-256; the sender's request for an acknowledgement is answered in every transfer."""
import unittest

import peers
from peers import BLOCK, EVER, IS_FLUSH, IS_INFO, LOSSES, OURS, RATE, SEGMENT, THEIRS, InteropCase, acks, is_block, is_symbol
from wire import ACK_CC, CC_CLR, CC_RTT, CC_START, BLOCK as WHOLE, INFO, OBJECT, SEGMENT as SYMBOL

BLOCKS = 12
ALL = [OURS + i for i in range(len(LOSSES))]
PARITY = 32


class FromNrl(InteropCase):
    def nrl(self, source, *options, nodes=(OURS,)):
        return self.scene.nrl('send', 'srv', THEIRS, source, '--rate', RATE, *acks(*nodes), *options)

    def mc(self, size, *options, number=0):
        """The façade as a receiver that knows the object beforehand; on r1, or r(number + 1)."""
        receiver = self.scene.mc('receive', f'r{number + 1}', OURS + number, self.scene.path(str(number)), '--sender', THEIRS,
                                 '--object', 0, '--size', size, *options)
        receiver.wait_for('ready')
        return receiver

    def norm(self, *options, number=0):
        """The core as a receiver that knows nothing."""
        receiver = self.scene.norm('receive', f'r{number + 1}', OURS + number, self.scene.path(str(number)), *options)
        receiver.wait_for('ready')
        return receiver

    def succeed(self, source, sender, *receivers):
        self.complete(source, receivers)
        for _ in receivers:
            self.assertTrue(sender.wait_for('ack').endswith(' success'))
        self.end(sender, *receivers)

    def one(self, source, nrl_options=(), mc_options=()):
        """To one receiver, with what is set up to be lost; returns it."""
        with open(source, 'rb') as f:
            size = f.seek(0, 2)
        receiver = self.mc(size, *mc_options)
        self.succeed(source, self.nrl(source, *nrl_options), receiver)
        return receiver

    def parity(self, block, parity, size):
        """All parity of libnorm's that a receiver gets is what we would have made."""
        source, receiver = self.scene.make_bytes(size), self.norm('--check-parity')
        code = ['--segment', 200, '--block', block, '--parity', parity, '--auto-parity', parity]
        self.succeed(source, self.nrl(source, *code, '--rate', 10_000_000), receiver)
        blocks = -(-size // (200 * block))
        self.assertIn(f'parity {blocks * parity} wrong 0', receiver.seen)

    def test_02_parity_of_full_blocks(self):
        for block, parity in ((64, 8), (128, 32), (200, 55)):
            with self.subTest(block=block, parity=parity):
                self.parity(block, parity, 5 * block * 200)

    def test_02_parity_of_short_blocks(self):
        for block, parity in ((64, 8), (128, 32), (200, 55)):
            with self.subTest(block=block, parity=parity):
                self.parity(block, parity, (4 * block + block // 2) * 200 - 77)

    def test_02_parity_of_one_symbol(self):
        for block, parity in ((64, 8), (128, 32), (200, 55)):
            for size in (200, 123):
                with self.subTest(block=block, parity=parity, size=size):
                    self.parity(block, parity, size)

    def code(self, fec_id):
        """Both codes, with and without proactive parity; four receivers that lose 0, 1, 5 and 10 %."""
        self.scene.losses(LOSSES)
        for segment, block, parity in ((1400, 64, 8), (1408, 128, 32)):
            source = self.scene.make_object(BLOCKS * 128 // block, segment, block)
            code = ['--segment', segment, '--block', block, '--parity', parity, '--fec', fec_id]
            for auto_parity in (0, 8):
                with self.subTest(block=block, parity=parity, auto_parity=auto_parity):
                    receivers = [self.mc(BLOCKS * 128 * segment, *code, number=i) for i in range(self.hosts)]
                    self.succeed(source, self.nrl(source, *code, '--auto-parity', auto_parity, nodes=ALL), *receivers)

    def test_21_fec_id_129(self):
        self.code(129)

    def test_21_fec_id_5(self):
        self.code(5)

    def alone(self, *mc_options):
        source = self.scene.make_object(BLOCKS)
        for loss in LOSSES:
            with self.subTest(loss=loss):
                self.scene.losses([loss])
                stats = self.one(source, mc_options=mc_options).stats()
                if loss >= 5:
                    self.assertGreater(stats['nacks'], 0)
                    self.assertGreater(stats['repair'], 0)

    def test_22_nacks_to_the_sender(self):
        # Checks RFC5740 5.3.
        self.alone()

    def test_22_nacks_to_the_group(self):
        # Checks RFC5740 5.3.
        self.alone('--multicast-nack')

    def requests(self):
        return [r for m in self.scene.captured() if m.kind == 'NACK' for r in m.requests()]

    def test_23_whole_block_lost(self):
        self.scene.drop('r1', is_block(3), BLOCK)
        self.scene.tap()
        self.one(self.scene.make_object(BLOCKS))
        self.assertIn((WHOLE, 3, 3), [(r.flags, r.first.sbn, r.last.sbn) for r in self.requests()])

    def test_23_whole_object_lost(self):
        # Nothing but the FLUSH tells that there was an object.
        source, receiver = self.scene.make_object(4), self.norm()
        self.scene.drop('r1', peers.IS_DATA, 4 * BLOCK)
        self.scene.tap()
        self.succeed(source, self.nrl(source), receiver)
        self.assertIn(OBJECT, [r.flags for r in self.requests()])

    def test_23_info_lost(self):
        source, receiver = self.scene.make_object(BLOCKS), self.norm()
        self.scene.drop('r1', IS_INFO)
        self.scene.tap()
        self.succeed(source, self.nrl(source, '--info', 'castpoint.img'), receiver)
        self.assertIn('info 13 castpoint.img', receiver.seen)
        self.assertTrue([r for r in self.requests() if r.flags & INFO])

    def test_23_info_that_alone_tells_the_object_lost(self):
        source, receiver = self.scene.make_object(BLOCKS), self.norm()
        self.scene.drop('r1', IS_INFO)
        self.succeed(source, self.nrl(source, '--info', 'castpoint.img', '--fti-in-info'), receiver)
        self.assertIn('info 13 castpoint.img', receiver.seen)

    def test_24_late_joiner(self):
        source = self.scene.make_object(30)
        self.scene.losses([0, 5])
        early = self.scene.nrl('receive', 'r1', THEIRS + 1, self.scene.path('early'), '--unicast-nack')
        early.wait_for('ready')
        sender = self.nrl(source, nodes=[THEIRS + 1, OURS + 1])
        early.wait_for('half')
        self.succeed(source, sender, early, self.norm(number=1))

    def test_25_squelch(self):
        # Checks RFC5740 4.2.3.3.
        source = self.scene.make_object(BLOCKS)
        receivers = [self.mc(BLOCKS * BLOCK * SEGMENT), self.norm(number=1)]
        for i in range(2):
            self.scene.drop(f'r{i + 1}', is_block(3), EVER)
        self.scene.tap()
        sender = self.nrl(source, '--cancel', nodes=[])
        sender.wait_for('sent')
        sender.tell('cancel')
        sender.wait_for('cancelled')
        receivers[1].wait_for('squelched')
        self.assertIn('withdrew', receivers[0].wait_for('error'))
        self.end(sender, receivers[1])
        messages = self.scene.captured()
        end = next(m.time for m in messages if m.kind == 'SQUELCH')
        self.assertFalse([m for m in messages if m.kind == 'NACK' and m.time > end + 0.1])

    def test_26_watermark(self):
        # Checks RFC5740 5.5.3.
        source = self.scene.make_object(BLOCKS)
        self.scene.losses(LOSSES)
        receivers = [self.mc(BLOCKS * BLOCK * SEGMENT, number=i) for i in range(self.hosts)]
        sender = self.nrl(source, nodes=ALL)
        self.complete(source, receivers)
        self.end(sender, *receivers)
        self.assertEqual({line for line in sender.seen if line.startswith('ack ')}, {f'ack {n} success' for n in ALL})

    def test_27_congestion_control(self):
        # Checks RFC5740 5.5.2, 5.5.2.2, RFC5401 3.9.
        # It begins with one segment per second, which makes a GRTT of one second; our first answer may take four.
        source, receiver = self.scene.make_object(BLOCKS), self.mc(BLOCKS * BLOCK * SEGMENT)
        self.scene.tap()
        self.succeed(source, self.nrl(source, '--congestion-control'), receiver)
        messages = self.scene.captured()
        answers = [m for m in messages if m.kind == 'ACK' and m.ack_type == ACK_CC]
        probes = [m for m in messages if m.kind == 'CC']
        # We tell twice the rate that came in until there is loss, and make the limiting receiver.
        self.assertTrue(answers[0].cc[1] & CC_START)
        self.assertTrue(any(m.cc[1] & CC_RTT for m in answers))
        self.assertTrue(any(m.cc_nodes.get(OURS, 0) & CC_CLR for m in probes))
        self.assertEqual(round(probes[0].send_rate / SEGMENT), 1)
        self.assertGreater(max(m.send_rate for m in probes), 1000 * SEGMENT)

    def test_28_no_symbol_that_does_not_exist(self):
        # Asking for one crashes libnorm's sender. Blocks of 116 and 117 symbols of a code for 128; the last symbol is short.
        source, receiver = self.scene.make_bytes((9 * BLOCK + 11) * SEGMENT + 531), self.norm()
        self.scene.losses([10])
        self.scene.tap()
        self.succeed(source, self.nrl(source, '--parity', 8), receiver)
        asked = [r for r in self.requests() if r.flags & SYMBOL]
        self.assertTrue(asked)
        for r in asked:
            self.assertIn(r.last.sbl, (116, 117))
            self.assertLess(r.last.esi, r.last.sbl + 8)
            self.assertEqual(r.first.sbn, r.last.sbn)

    def test_29_nack_larger_than_a_segment(self):
        # Checks RFC5740 4.3.1.
        self.scene.losses([10])
        self.scene.tap()
        code = ['--segment', 128, '--block', 32, '--parity', 8]
        self.one(self.scene.make_object(100, 128, 32), [*code, '--rate', 5_000_000], code)
        nacks = [m for m in self.scene.captured() if m.kind == 'NACK']
        self.assertLessEqual(max(len(m.payload) for m in nacks), 128)
        self.assertGreater(max(len(m.payload) for m in nacks), 128 - 28)  # the next request did not fit

    def test_30_tail_lost(self):
        # The end of the data, and the first FLUSHes that would have told of it.
        self.scene.drop('r1', is_symbol(BLOCKS - 1, f'{BLOCK - 9}-{BLOCK - 1}'), 9)
        self.scene.drop('r1', IS_FLUSH, 3)
        self.one(self.scene.make_object(BLOCKS))

    def test_31_sender_that_vanishes(self):
        # Checks RFC5740 5.3.
        source, receiver = self.scene.make_object(40), self.norm('--robust', 3, '--multicast-nack')
        self.scene.drop('r1', is_block(2), EVER)
        self.scene.tap()
        sender = self.nrl(source, '--grtt', 0.01)
        receiver.wait_for('object')
        sender.wait_for('sent')
        sender.process.kill()
        receiver.wait_for('inactive')
        self.end(receiver)
        words = [m for m in self.scene.captured() if m.kind != 'CC']
        last = max(m.time for m in words if m.source_id == THEIRS)
        nacks = [m.time - last for m in words if m.kind == 'NACK' and m.time > last + 0.9]
        # One per second at most, robust_factor times.
        self.assertEqual(len(nacks), 3)

    def test_32_object_smaller_than_a_segment(self):
        # libnorm's parity of a block of one short symbol is as short.
        self.scene.losses([0, 1, 5, 10])
        source = self.scene.make_bytes(700)
        receivers = [self.norm(number=i) for i in range(self.hosts)]
        self.succeed(source, self.nrl(source, '--auto-parity', 4, nodes=ALL), *receivers)

    def test_32_object_whose_source_symbol_is_lost(self):
        self.scene.drop('r1', is_symbol(0, 0))
        source, receiver = self.scene.make_bytes(700), self.norm()
        self.scene.tap()
        self.succeed(source, self.nrl(source, '--auto-parity', 4), receiver)
        sizes = {len(m.payload) for m in self.scene.captured() if m.kind == 'DATA'}
        self.assertEqual(sizes, {700})


if __name__ == '__main__':
    unittest.main()
