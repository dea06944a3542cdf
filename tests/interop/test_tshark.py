#!/usr/bin/env python3
"""Wireshark's dissector as a second opinion on our packets: a transfer with loss is captured, with one receiver of
ours and one of libnorm's, and every message that occurred is decoded and checked field by field."""
import collections
import os
import signal
import subprocess
import sys
import unittest

from peers import BLOCK, GROUP, HERE, PARITY, PORT, SEGMENT, Scene

SENDER, OURS, THEIRS, ABSENT = 1, 2, 99, 77
BLOCKS, OBJECT, RATE = 12, 4711, 40_000_000
SIZE = BLOCKS * BLOCK * SEGMENT
INFO, DATA, CMD, NACK, ACK = 1, 2, 3, 4, 5
FLUSH, EOT, SQUELCH, CC, REPAIR_ADV, APPLICATION = 1, 2, 3, 4, 5, 7
FIELDS = ('frame.number ip.src ip.dst udp.srcport udp.dstport udp.length _ws.malformed norm.version norm.type norm.hlen '
          'norm.sequence norm.source_id norm.instance_id norm.grtt norm.backoff norm.gsize norm.flags norm.flavor '
          'norm.fec_encoding_id norm.object_transport_id norm.ccsequence norm.cc_sts norm.nack.server norm.nack.form '
          'norm.nack.flags norm.nack.length norm.nack.grtt_sec norm.ack.type norm.payload rmt-fec.sbn rmt-fec.sbl '
          'rmt-fec.esi rmt-fec.fti.transfer_length rmt-fec.fti.encoding_symbol_length '
          'rmt-fec.fti.max_source_block_length rmt-fec.fti.max_number_encoding_symbols rmt-lct.hec.type rmt-lct.send_rate '
          'rmt-lct.cc_sequence rmt-lct.cc_flags').split()


class Packet(dict):
    """Field values as text; several occurrences are joined by commas. The first number of one: p.n('norm.type')."""

    def n(self, field):
        text = self[field].split(',')[0]
        return int(text, 16 if text.startswith('0x') else 10)

    @property
    def kind(self):
        return (self.n('norm.type'), self.n('norm.flavor') if self['norm.flavor'] else None)


def node(number):
    """tshark shows node ids as addresses."""
    return '.'.join(str(number >> shift & 255) for shift in (24, 16, 8, 0))


def capture(*mc_options, nrl):
    """The packets of one transfer with 5 % loss: to a receiver of ours, and to one of libnorm's if wanted."""
    scene = Scene(receivers=2)
    try:
        file, pcap = scene.make_object(BLOCKS), scene.path('pcap')
        tap = scene.start('srv', sys.executable, '-B', os.path.join(HERE, 'capture.py'), 'eth0', pcap)
        tap.wait_for('ready')
        scene.lab.call('loss', 'r1', '5')
        receivers = [scene.mc('receive', 'r1', OURS, scene.path('0'), '--sender', SENDER, '--object', OBJECT, '--size', SIZE,
                              *mc_options)]
        if nrl:
            receivers.append(scene.nrl('receive', 'r2', THEIRS, scene.path('1'), '--rx-loss', 5, '--unicast-nack'))
        for receiver in receivers:
            receiver.wait_for('ready')
        # The sender is held: it goes on flushing until it is told to withdraw the object.
        acks = [OURS, ABSENT] + [THEIRS] * nrl
        sender = scene.mc('send', 'srv', SENDER, file, '--object', OBJECT, '--rate', RATE, '--hold',
                          *[w for a in acks for w in ('--ack', a)], *mc_options)
        feedback_port = int(sender.wait_for('ready').split(' ')[1])
        for receiver in receivers:
            receiver.wait_for('completed')
        acked = set()
        while acked != {str(a) for a in acks if a != ABSENT}:
            acked.add(tap.wait_for('ack'))
        for i, receiver in enumerate(receivers):
            scene.check_ends(receiver)
            scene.check_same(file, scene.path(str(i)))
        sender.process.send_signal(signal.SIGTERM)
        sender.end()
        tap.process.send_signal(signal.SIGTERM)
        tap.wait_for('done')
        return decode(pcap, feedback_port, scene.folder)
    finally:
        scene.close()


def decode(pcap, feedback_port, home):
    command = ['tshark', '-r', pcap, '-d', f'udp.port=={PORT},norm', '-d', f'udp.port=={feedback_port},norm',
               '-Y', f'udp.port=={PORT} || udp.port=={feedback_port}', '-T', 'fields', '-E', 'separator=|']
    done = subprocess.run(command + [w for f in FIELDS for w in ('-e', f)], capture_output=True, text=True, check=True,
                          env={**os.environ, 'HOME': home})
    return [Packet(zip(FIELDS, line.split('|'))) for line in done.stdout.splitlines()]


class Plain(unittest.TestCase):
    """Without EXT_AUTH, as towards other implementations."""

    @classmethod
    def setUpClass(cls):
        cls.packets = capture(nrl=True)
        cls.sent = [p for p in cls.packets if p['ip.dst'] == GROUP and p['norm.source_id'] == node(SENDER)]

    def of(self, kind):
        found = [p for p in self.packets if p.kind == kind]
        self.assertTrue(found, f'no message of {kind} occurred')
        return found

    def test_every_packet_decodes(self):
        kinds = collections.Counter(p.kind for p in self.packets)
        for kind in [(INFO, None), (DATA, None), (NACK, None), (ACK, None), *[(CMD, f) for f in range(FLUSH, REPAIR_ADV + 1)]]:
            self.assertIn(kind, kinds)
        for p in self.packets:
            self.assertEqual(p['norm.version'], '1', p)
            # The dissector steps wrongly through a list of invalid objects (it reads 4 bytes and goes on by 2).
            if p.kind != (CMD, SQUELCH):
                self.assertEqual(p['_ws.malformed'], '', p)

    def test_the_senders_words(self):
        first = self.sent[0].n('norm.sequence')
        instances = {p['norm.instance_id'] for p in self.sent}
        self.assertEqual(len(instances), 1)
        for i, p in enumerate(self.sent):
            self.assertEqual(p.n('norm.sequence'), (first + i) & 0xffff, p)
            self.assertLessEqual(float(p['norm.grtt']), 0.25, p)
            self.assertEqual(p.n('norm.backoff'), 4, p)
            self.assertEqual(float(p['norm.gsize']), 10, p)

    def assert_fti(self, p):
        self.assertEqual(p.n('rmt-fec.fti.transfer_length'), SIZE, p)
        self.assertEqual(p.n('rmt-fec.fti.encoding_symbol_length'), SEGMENT, p)
        self.assertEqual(p.n('rmt-fec.fti.max_source_block_length'), BLOCK, p)
        self.assertEqual(p.n('rmt-fec.fti.max_number_encoding_symbols'), PARITY, p)

    def test_info(self):
        for p in self.of((INFO, None)):
            self.assertEqual(p.n('norm.flags') & 0x14, 0x14, p)  # INFO, FILE
            self.assertEqual(p.n('norm.hlen'), 8, p)
            self.assertEqual(p.n('norm.object_transport_id'), OBJECT, p)
            self.assert_fti(p)

    def test_data(self):
        seen = set()
        for p in self.of((DATA, None)):
            self.assertEqual(p.n('norm.flags') & 0x30, 0x10, p)  # a file
            self.assertEqual(p.n('norm.object_transport_id'), OBJECT, p)
            self.assertLess(p.n('rmt-fec.sbn'), BLOCKS, p)
            self.assertEqual(p.n('rmt-fec.sbl'), BLOCK, p)
            self.assertLess(p.n('rmt-fec.esi'), BLOCK + PARITY, p)
            self.assertEqual(p.n('norm.hlen') * 4 + SEGMENT + 8, p.n('udp.length'), p)
            if p['rmt-fec.fti.transfer_length']:
                self.assert_fti(p)
            seen.add((p.n('rmt-fec.sbn'), p.n('rmt-fec.esi')))
        self.assertTrue({(b, s) for b in range(BLOCKS) for s in range(BLOCK)} <= seen)

    def test_flush(self):
        nodes = set()
        for p in self.of((CMD, FLUSH)):
            self.assertEqual(p.n('norm.object_transport_id'), OBJECT, p)
            self.assertEqual((p.n('rmt-fec.sbn'), p.n('rmt-fec.sbl'), p.n('rmt-fec.esi')), (BLOCKS - 1, BLOCK, BLOCK - 1), p)
            text = p['norm.payload'].replace(':', '')
            nodes |= {int(text[i:i + 8], 16) for i in range(0, len(text), 8)}
        self.assertEqual(nodes, {OURS, THEIRS, ABSENT})

    def test_cc(self):
        sequences = []
        for p in self.of((CMD, CC)):
            self.assertEqual(p['rmt-lct.hec.type'], '128', p)
            self.assertAlmostEqual(float(p['rmt-lct.send_rate']), RATE / 8, delta=RATE / 800)
            sequences.append(p.n('norm.ccsequence'))
        self.assertEqual(sequences, list(range(sequences[0], sequences[0] + len(sequences))))

    def test_repair_adv(self):
        for p in self.of((CMD, REPAIR_ADV)):
            self.assertGreaterEqual(p.n('norm.hlen'), 4, p)

    def test_squelch_and_eot(self):
        for p in self.of((CMD, SQUELCH)):
            self.assertEqual(p.n('norm.fec_encoding_id'), 129, p)
        for p in self.of((CMD, EOT)):
            self.assertEqual(p.n('norm.hlen'), 4, p)
            self.assertEqual(p['norm.payload'].replace(':', ''), '000000', p)  # its reserved bytes

    def test_feedback(self):
        ours = [p for p in self.packets if p['norm.source_id'] == node(OURS)]
        nacks = [p for p in ours if p.kind == (NACK, None)]
        acks = [p for p in ours if p.kind == (ACK, None)]
        self.assertTrue(nacks)
        for p in nacks + acks:
            self.assertEqual(p['norm.instance_id'], self.sent[0]['norm.instance_id'], p)
            self.assertNotEqual(p['ip.dst'], GROUP, p)
        for p in nacks:
            self.assertEqual(p['norm.nack.server'], node(SENDER), p)
            self.assertTrue(set(p['norm.nack.form'].split(',')) <= {'1', '2'}, p)
            for flags in p['norm.nack.flags'].split(','):
                self.assertIn(int(flags, 16), range(1, 16), p)
            for length in p['norm.nack.length'].split(','):
                self.assertEqual(int(length) % 12, 0, p)
            self.assertLessEqual(p.n('udp.length') - 8 - 4 * p.n('norm.hlen'), SEGMENT, p)
        self.assertEqual({'1', '2'}, {p['norm.ack.type'] for p in acks})  # ACK(CC), ACK(FLUSH)

    def test_libnorm_acknowledges_our_watermark(self):
        theirs = [p for p in self.packets if p['norm.source_id'] == node(THEIRS)]
        self.assertIn((ACK, '2'), {(p.n('norm.type'), p['norm.ack.type']) for p in theirs})


class Spoken(unittest.TestCase):
    """What a session never sends, but the core can: a command of the application's, and an INFO with content."""

    def test_command_and_info(self):
        # Checks RFC5740 4.2.2, RFC5740 4.2.3.7.
        scene = Scene(receivers=1)
        self.addCleanup(scene.close)
        receiver = scene.norm('receive', 'r1', OURS, scene.path('0'))
        receiver.wait_for('ready')
        scene.tap()
        sender = scene.norm('send', 'srv', SENDER, scene.make_object(BLOCKS), '--ack', OURS, '--info', 'name', '--command', 'stop')
        feedback_port = int(sender.wait_for('ready'))
        receiver.wait_for('completed')
        scene.check_ends(sender)
        scene.check_ends(receiver)
        scene.captured()
        packets = decode(scene.path('pcap'), feedback_port, scene.folder)
        commands = [p for p in packets if p.kind == (CMD, APPLICATION)]
        self.assertEqual(len(commands), 1)
        self.assertEqual(commands[0].n('norm.hlen'), 4)
        self.assertTrue(commands[0]['norm.payload'].replace(':', '').endswith(b'stop'.hex()), commands[0])
        infos = [p for p in packets if p.kind == (INFO, None)]
        self.assertEqual([p['norm.payload'].replace(':', '') for p in infos], [b'name'.hex()])


class Authenticated(unittest.TestCase):
    """With EXT_AUTH and ciphertext, as between our own: every message carries it, and last."""

    def test_every_packet_carries_ext_auth(self):
        packets = capture('--secret', '7', nrl=False)
        self.assertTrue({(DATA, None), (NACK, None), (ACK, None), (CMD, FLUSH)} <= {p.kind for p in packets})
        for p in packets:
            if p.kind == (CMD, SQUELCH):  # the dissector gets lost in it
                continue
            self.assertEqual(p['_ws.malformed'], '', p)
            if p.kind == (CMD, EOT):  # it looks for no extensions behind the three reserved bytes
                self.assertEqual(p['norm.payload'].replace(':', '')[:12], '000000010611', p)
            else:
                self.assertEqual(p['rmt-lct.hec.type'].split(',')[-1], '1', p)


if __name__ == '__main__':
    unittest.main(argv=[sys.argv[0], *sys.argv[1:]])
