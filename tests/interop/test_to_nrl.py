#!/usr/bin/env python3
"""Our sender towards receivers of the reference implementation: docs/norm.md section 7, items 5 to 20. Every content is
compared by SHA-256. Unless a test says otherwise four receivers take part, which lose 0, 1, 5 and 10 % of what arrives."""
import unittest

from peers import BLOCK, LOSSES, OURS, RATE, SEGMENT, THEIRS, InteropCase, acks
from wire import ACK_FLUSH, CC_CLR, EXPLICIT, EXT_AUTH, EXT_FTI, OBJECT, REPAIR

BLOCKS = 12  # × 128 × 1408 = 2 MB
ALL = [THEIRS + i for i in range(len(LOSSES))]


class ToNrl(InteropCase):
    def mc(self, source, *options, nodes=ALL):
        """The façade as a sender."""
        return self.scene.mc('send', 'srv', OURS, source, '--object', 7, '--rate', RATE, *acks(*nodes), *options)

    def norm(self, source, *options, nodes=ALL):
        """The core as a sender."""
        return self.scene.norm('send', 'srv', OURS, source, '--object', 7, '--rate', RATE, *acks(*nodes), *options)

    def alone(self, *options, source=None):
        """One receiver at a time, so that nobody's repairs help another."""
        source = source or self.scene.make_object(BLOCKS)
        for loss in LOSSES:
            with self.subTest(loss=loss):
                receivers = self.nrl_receivers('--unicast-nack', losses=[loss])
                # It ends because the receiver acknowledged the watermark, not because it gave up.
                sender = self.mc(source, *options, nodes=ALL[:1])
                self.complete(source, receivers)
                self.end(sender, *receivers)
                if loss >= 5:
                    self.assertGreater(sender.stats()['nacks'], 0)

    def together(self, source, sender_options, *options, make=None):
        """All loss rates at once."""
        receivers = self.nrl_receivers('--unicast-nack', *options)
        sender = (make or self.norm)(source, *sender_options)
        self.complete(source, receivers)
        self.end(sender, *receivers)
        return sender, receivers

    def test_05_fec_id_129(self):
        # Checks RFC5740 4.2.1.
        self.alone()

    def test_05_fec_id_5(self):
        self.alone('--fec', 5)

    def test_05_fec_id_2_of_8_bits(self):
        self.alone('--fec', 2)

    def test_06_fti_always(self):
        self.scene.tap()
        self.together(self.scene.make_object(BLOCKS), [])
        for m in self.scene.captured():
            if m.kind in ('INFO', 'DATA'):
                self.assertIn(EXT_FTI, m.hets)

    def test_06_fti_in_info_only(self):
        # The core puts it into each packet; the peer takes it out of DATA.
        self.scene.tap()
        self.together(self.scene.make_object(BLOCKS), ['--fti-in-info'])
        hets = {m.kind: set(m.hets) for m in self.scene.captured() if m.kind in ('INFO', 'DATA')}
        self.assertEqual(hets, {'INFO': {EXT_FTI}, 'DATA': set()})

    def test_07_with_info(self):
        # Checks RFC5740 4.2.2.
        _, receivers = self.together(self.scene.make_object(BLOCKS), ['--info', 'castpoint.img'])
        for receiver in receivers:
            self.assertIn('info 13 castpoint.img', receiver.seen)

    def test_07_with_empty_info(self):
        _, receivers = self.together(self.scene.make_object(BLOCKS), [])
        for receiver in receivers:  # libnorm's application hears of an INFO only if something is in it
            self.assertFalse([line for line in receiver.seen if line.startswith('info')])

    def test_08_segments_of_1400(self):
        self.together(self.scene.make_object(30, 1400, 64), ['--segment', 1400, '--block', 64, '--parity', 8], make=self.mc)

    def test_08_segments_of_8896(self):
        self.scene.jumbo(self.hosts)
        self.together(self.scene.make_object(4, 8896), ['--segment', 8896], make=self.mc)

    def test_09_auth_extension_last(self):
        self.auth_extension('last', [EXT_FTI, EXT_AUTH])

    def test_09_auth_extension_first(self):
        self.auth_extension('first', [EXT_AUTH, EXT_FTI])

    def auth_extension(self, place, order):
        self.scene.tap()
        self.together(self.scene.make_object(BLOCKS), ['--auth-ext', place])
        for m in self.scene.captured():
            if m.source_id == OURS:
                self.assertIn(EXT_AUTH, m.hets)
            if m.kind == 'DATA':
                self.assertEqual(m.hets, order)

    def test_09_genuine_auth(self):
        # libnorm skips EXT_AUTH, but cannot produce it: it completes, and its acknowledgement counts as forged.
        source, receivers = self.scene.make_object(8), self.nrl_receivers('--unicast-nack', losses=[0])
        self.mc(source, '--auto-parity', 32, '--auth', 7)
        self.complete(source, receivers)
        self.end(*receivers)

    def test_10_nacks_to_the_group(self):
        # Checks RFC5740 5.3.
        source, receivers = self.scene.make_object(BLOCKS), self.nrl_receivers()
        self.scene.tap()
        sender = self.mc(source, '--multicast-nack')
        self.complete(source, receivers)
        self.end(sender, *receivers)
        nacks = [m for m in self.scene.captured() if m.kind == 'NACK']
        self.assertTrue(nacks)
        self.assertTrue(all(m.to_group for m in nacks))

    def nacks(self, *sender_options):
        """NACKs of four receivers that all miss the same symbols, 8 times over."""
        source, receivers = self.scene.make_object(66), self.nrl_receivers('--unicast-nack', '--sync-current',
                                                                           losses=[0] * self.hosts)
        for block in range(5, 66, 8):
            self.scene.drop_shared(block, '20-24')
        # Libnorm may be away for long enough to spoil the GRTT and so the timing: it is given.
        sender = self.norm(source, '--grtt-ms', 20, *sender_options)
        self.complete(source, receivers)
        self.end(sender, *receivers)
        return sender.stats()['nacks']

    def test_11_repair_adv_suppresses(self):
        # Checks RFC5740 5.4.4.
        # The comparison is the same sender without REPAIR_ADV: it takes the NACKs for ones that all have heard.
        with_adv, without = self.nacks(), self.nacks('--multicast-nack')
        self.assertGreaterEqual(with_adv, 8)
        self.assertGreaterEqual(without, 6 * self.hosts)  # all 32 but for hosts that a busy machine held up
        self.assertLessEqual(with_adv, 0.75 * without)

    def test_12_late_joiner_that_wants_all(self):
        # Checks RFC5740 5.4.3.
        source, receivers = self.scene.make_object(40), self.nrl_receivers('--unicast-nack', losses=[0])
        self.scene.tap()
        sender = self.norm(source, '--live-window-ms', 100, nodes=ALL[:2])
        receivers[0].wait_for('half')
        receivers.append(self.scene.nrl('receive', 'r2', ALL[1], self.scene.path('late'), '--unicast-nack', '--rx-loss', 5))
        self.complete(source, receivers)
        self.end(sender, *receivers)
        messages = self.scene.captured()
        nacks = [m for m in messages if m.kind == 'NACK' and m.source_id == ALL[1]]
        past = [r for r in nacks[0].requests() if r.flags & OBJECT]
        # The 255 objects before ours, which was number 7.
        self.assertEqual([(r.first.object_id, r.last.object_id) for r in past], [((7 - 255) & 0xffff, 6)])
        self.assertIn('SQUELCH', [m.kind for m in messages if m.time > nacks[0].time])
        # Its first half comes when everybody else has got all: no source symbol of it twice before.
        data = [m for m in messages if m.kind == 'DATA']
        first_pass_end = next(i for i, m in enumerate(data) if m.at.sbn == 39 and m.at.esi == BLOCK - 1)
        again = next(i for i, m in enumerate(data) if m.at.sbn == 0 and m.at.esi < BLOCK and m.flags & REPAIR)
        self.assertGreater(again, first_pass_end)

    def test_13_late_joiner_that_wants_the_current_only(self):
        source, receivers = self.scene.make_object(30), self.nrl_receivers('--unicast-nack', losses=[5])
        self.scene.tap()
        sender = self.norm(source, '--passes', 2, '--ack-last', ALL[1], nodes=ALL[:1])
        receivers[0].wait_for('half')
        receivers.append(self.scene.nrl('receive', 'r2', ALL[1], self.scene.path('1'), '--unicast-nack', '--sync-current',
                                        '--rx-loss', 5))
        self.complete(source, receivers)
        self.end(sender, *receivers)
        messages = self.scene.captured()
        # Repairs of block 0 in the first pass, marked as such, do not make it join; the second pass does.
        passes = [m.time for m in messages if m.kind == 'INFO' and not m.flags & REPAIR]
        self.assertEqual(len(passes), 2)
        self.assertTrue([m for m in messages if m.kind == 'DATA' and m.flags & REPAIR and m.time < passes[1]])
        words = [m.time for m in messages if m.source_id == ALL[1] and m.kind == 'NACK']
        self.assertTrue(words)
        self.assertGreater(min(words), passes[1])

    def test_14_watermark_with_a_node_that_is_absent(self):
        # Checks RFC5740 5.5.3.
        absent = 77
        source, receivers = self.scene.make_object(BLOCKS), self.nrl_receivers('--unicast-nack')
        self.scene.tap()
        sender = self.norm(source, nodes=[*ALL, absent])
        self.complete(source, receivers)
        self.end(sender, *receivers)
        for node in ALL:
            self.assertIn(f'ack {node} success', sender.seen)
        self.assertIn(f'ack {absent} failure', sender.seen)
        messages = self.scene.captured()
        self.assertEqual({m.source_id for m in messages if m.kind == 'ACK' and m.ack_type == ACK_FLUSH}, set(ALL))
        flushes = [m for m in messages if m.kind == 'FLUSH']
        last = max(i for i, m in enumerate(flushes) if set(m.nodes) & set(ALL))
        self.assertEqual({n for m in flushes[last + 1:] for n in m.nodes}, {absent})
        # Who does not answer is asked 20 times since the latest repair.
        self.assertLessEqual(sum(absent in m.nodes for m in flushes[last + 1:]), 20)

    def test_15_more_loss_than_parity(self):
        # Checks RFC5740 5.4.2.
        self.scene.tap()
        sender, _ = self.together(self.scene.make_object(BLOCKS), ['--parity', 4], make=self.mc)
        data = [m for m in self.scene.captured() if m.kind == 'DATA']
        # What remains when the parity is used up is repaired by name.
        named = [m for m in data if m.flags & EXPLICIT]
        self.assertTrue(named)
        self.assertTrue(all(m.flags & REPAIR for m in named))
        self.assertTrue(all(m.at.esi < BLOCK + 4 for m in data))
        self.assertGreater(sender.stats()['nacks'], 0)

    def test_16_sender_begins_anew(self):
        # Checks RFC5740 4.2.1.
        source, receivers = self.scene.make_object(30), self.nrl_receivers('--unicast-nack')
        first = self.mc(source)
        receivers[0].wait_for('half')
        first.process.kill()
        first.process.wait()
        sender = self.mc(source)
        for receiver in receivers:
            receiver.wait_for('sender-reset')
        self.complete(source, receivers)
        self.end(sender, *receivers)

    def test_17_object_ids_wrap(self):
        source, count = self.scene.make_object(4), 4
        receivers = self.nrl_receivers('--unicast-nack', '--objects', count)
        self.scene.tap()
        sender = self.scene.norm('send', 'srv', OURS, source, '--object', 65534, '--objects', count, '--rate', RATE,
                                 *acks(*ALL))
        for number in range(count):
            for i, receiver in enumerate(receivers):
                receiver.wait_for('completed')
                self.scene.check_same(source, self.scene.path(str(i) + (f'.{number}' if number else '')))
        self.end(sender, *receivers)
        ids = [m.at.object_id for m in self.scene.captured() if m.kind == 'INFO' and not m.flags & REPAIR]
        self.assertEqual(ids, [65534, 65535, 0, 1])
        self.assertEqual(sum(line.endswith('success') for line in sender.seen), count * len(ALL))

    def test_18_last_symbol_short(self):
        self.last_symbol(531)

    def test_18_last_symbol_padded(self):
        self.last_symbol(SEGMENT, '--pad')

    def last_symbol(self, on_the_wire, *options):
        # 10 blocks of two lengths, all shorter than the code's.
        size = (9 * BLOCK + 11) * SEGMENT + 531
        source = self.scene.make_bytes(size)
        self.scene.tap()
        self.together(source, options)
        data = [m for m in self.scene.captured() if m.kind == 'DATA']
        self.assertEqual({m.at.sbl for m in data}, {116, 117})
        last = {len(m.payload) for m in data if (m.at.sbn, m.at.esi) == (9, 115)}
        self.assertEqual(last, {on_the_wire})
        self.assertEqual({len(m.payload) for m in data if (m.at.sbn, m.at.esi) != (9, 115)}, {SEGMENT})

    def test_18_object_of_one_short_symbol(self):
        self.together(self.scene.make_bytes(700), [])

    def test_19_command_is_delivered(self):
        # Checks RFC5740 4.2.3.7.
        _, receivers = self.together(self.scene.make_object(BLOCKS), ['--command', 'finish over HTTPS'])
        # It is sent once; who loses 1 % or more may miss it.
        self.assertIn('command 17 finish over HTTPS', receivers[0].seen)

    def test_20_silent_receivers(self):
        # Checks RFC5740 5.2.
        source, receivers = self.scene.make_object(BLOCKS), self.nrl_receivers('--silent')
        self.scene.tap()
        sender = self.mc(source, '--auto-parity', 32, nodes=[])
        self.complete(source, receivers)
        self.end(sender, *receivers)
        self.assertEqual({m.source_id for m in self.scene.captured()}, {OURS})
        self.assertEqual(sender.stats()['repair'], 0)

    def test_27_our_sender_under_congestion_control(self):
        # Checks RFC5740 5.5.2.3.
        # One segment per second until libnorm answers; without loss slow start ends at the ceiling only.
        source, receivers = self.scene.make_object(BLOCKS), self.nrl_receivers('--unicast-nack', losses=[0])
        self.scene.tap()
        sender = self.mc(source, '--rate-mode', 'tfmcc', nodes=ALL[:1])
        self.complete(source, receivers)
        self.end(sender, *receivers)
        probes = [m for m in self.scene.captured() if m.kind == 'CC']
        self.assertEqual(round(probes[0].send_rate / SEGMENT), 1)
        self.assertTrue(any(m.cc_nodes.get(ALL[0], 0) & CC_CLR for m in probes))
        self.assertGreater(max(m.send_rate for m in probes), 1000 * SEGMENT)

    def test_27_our_sender_finds_its_pace(self):
        # For networks of one's own: it begins at half its ceiling; loss that the pace does not change does not slow it down.
        self.scene.tap()
        self.together(self.scene.make_object(30), ['--rate-mode', 'lan'], make=self.mc)
        rates = [m.send_rate * 8 / RATE for m in self.scene.captured() if m.kind == 'CC']
        self.assertAlmostEqual(rates[0], 0.5, delta=0.01)
        self.assertGreater(max(rates), 0.8)  # on a busy machine it may not come to the end of its climb


if __name__ == '__main__':
    unittest.main()
