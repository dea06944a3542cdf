#!/usr/bin/env python3
"""The bench's arithmetic, tables, picture, options and processes; no network and no root."""
import argparse
import os
import select
import signal
import sys
import tempfile
import time
import unittest
import xml.etree.ElementTree
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from unittest import mock

import experiments
import goals
import install
import lab
import plot
import process
import report
import tools
import transfer

HERE = os.path.dirname(os.path.abspath(__file__))
MIB = 1 << 20


def load(name):
    loader = SourceFileLoader(name, os.path.join(HERE, name))
    module = module_from_spec(spec_from_loader(name, loader))
    loader.exec_module(module)
    return module


bench = load('bench')
https = load('https')


def a_run(tool, goodput, **more):
    record = {'kind': 'run', 'tool': tool, 'receivers': 5, 'size': MIB, 'rate': '1gbit', 'loss': 0.0, 'offload': 'off',
              'verdict': 'ok', 'right': 5, 'seconds': 1.0, 'goodput_mbps': goodput, 'wire_ratio': 1.05, 'cpu_sender_per_gib': 2.0,
              'cpu_receiver_per_gib': 3.0, 'cpu_machine_per_gib': 9.0, 'cpu_other': 0.0, 'quiet': True, 'queue_drops': 0, 'socket_drops': 0,
              'setting': '', 'note': ''}
    return {**record, **more}


def a_hang(tool, **more):
    return a_run(tool, None, verdict='HANG', seconds=None, right=3, **more)


class Statistics(unittest.TestCase):
    def test_spread(self):
        self.assertEqual(report.Spread([3, 1, 2]).text(), '2 (1–3)')
        self.assertEqual(report.Spread([1, 2]).median, 1.5)
        self.assertEqual(report.Spread([2.04, 2.01]).text('{:.1f}'), '2.0')
        self.assertEqual(report.Spread([None, 7]).text(), '7')
        self.assertEqual(report.Spread([None]).text(), '–')
        self.assertFalse(report.Spread([]))

    def test_rate(self):
        self.assertEqual(report.rate_bps('1gbit'), 1e9)
        self.assertEqual(report.rate_bps('100mbit'), 1e8)
        self.assertIsNone(report.rate_bps('none'))

    def test_a_hang_is_not_averaged_away(self):
        cell = report.Cell([a_run('x', 100), a_hang('x'), a_run('x', 300)])
        self.assertEqual(cell.goodput().text(), '200 (100–300)')
        self.assertEqual(cell.verdict(), 'HANG 1 of 3')
        self.assertEqual(cell.right(), '13/15')

    def test_noise_is_told(self):
        self.assertEqual(report.Cell([a_run('x', 1, cpu_other=0.2, setting='rate y')]).note(), 'rate y; 1 noisy')
        self.assertEqual(report.Cell([a_run('x', 1, cpu_other=0.05)]).note(), '')
        self.assertEqual(report.Cell([a_run('x', 1), a_run('x', 1, queue_drops=4)]).note(), 'uplink dropped 2 (0–4)')


class Tables(unittest.TestCase):
    def cells(self, text, start):
        row = next(line for line in text.split('\n') if line.startswith(start))
        return [c.strip() for c in row.strip('|').split('|')]

    def test_columns_match(self):
        records = [a_run('castpoint', 400), a_run('uftp', 200), a_hang('udpcast'),
                   a_run('castpoint', 0.5, kind='small'),
                   {'kind': 'raw', 'receivers': 5, 'offload': 'off', 'slowest_mbps': 1000.0, 'median_mbps': 1100.0, 'lost': 0.1,
                    'cpu_receiver_per_gib': 1.0},
                   a_run('castpoint', 500, kind='growth'),
                   {'kind': 'memory', 'role': 'sender', 'size': 50 * 10**9, 'moved': 10**9, 'loss': 5, 'seconds': 8.0, 'anonymous': 30 * MIB,
                    'shared': MIB, 'peak': 31 * MIB, 'peak_own': 30 * MIB, 'limit': 64 * MIB},
                   a_run('castpoint', 500, kind='profile', programs='60.0%  mc_bench', symbols='9.0%  mc_bench  memcpy')]
        text = report.markdown(records)
        for block in text.split('\n\n'):
            widths = {line.count('|') for line in block.split('\n') if line.startswith('|')}
            self.assertLessEqual(len(widths), 1, block)
        for title in ('castpoint beside', 'A small package', 'Growth', 'Bare UDP_SEGMENT', 'Memory'):
            self.assertIn(f'### {title}', text)
        self.assertIn('| yes |', text)
        self.assertIn('```\n60.0%  mc_bench\n\n9.0%', text)

    def test_against_the_best_peer(self):
        records = [a_run('castpoint', 600, cpu_sender_per_gib=1.0), a_run('uftp', 200, cpu_sender_per_gib=4.0),
                   a_run('udpcast', 150, cpu_sender_per_gib=3.0), a_run('https', 300)]
        row = self.cells(report.against_table(records)[0], '| 1 MiB')
        self.assertEqual(row[1:4], ['5', '0', '600'])
        self.assertEqual(row[6:10], ['uftp', '3.00', '2.00', '0.33'])
        self.assertAlmostEqual(float(row[4]), 600 / (1000 * 1408 / 1514), places=3)

    def test_goals(self):
        metrics = {'link': 0.971, 'peer': 2.5, 'https': None, 'cpu_sender': 0.4, 'cpu_receiver': 1.0}
        self.assertEqual(goals.judge(True, 'off', 1, 0.0, metrics), "0.97 of the link: met; a third of a peer's sender CPU: MISSED; "
                                                                    "a peer's receiver CPU: met")
        self.assertEqual(goals.judge(True, 'off', 20, 5.0, metrics), '3 × the best multicast peer: MISSED; ahead of HTTPS: not measured')
        self.assertEqual(goals.judge(True, 'off', 3, 0.0, metrics), '')
        self.assertEqual(goals.judge(False, 'on', 5, 0.0, {'https': 1.2}), 'ahead of HTTPS: met')

    def test_nothing_to_compare(self):
        self.assertEqual(report.against_table([a_run('castpoint', 600)]), [])
        row = self.cells(report.against_table([a_run('castpoint', 600), a_hang('uftp')])[0], '| 1 MiB')
        self.assertEqual(row[6:9], ['–', '–', '–'])
        row = self.cells(report.against_table([a_hang('castpoint'), a_run('uftp', 5)])[0], '| 1 MiB')
        self.assertEqual(row[3:8], ['–', '–', '–', 'uftp', '–'])

    def test_a_failure_does_not_take_the_others_with_it(self):
        kept = []

        def broken(*_):
            raise lab.Failed('no luck')

        with mock.patch.dict(bench.EXPERIMENTS, raw=broken), mock.patch('sys.stderr'):
            bench.run_part('raw', argparse.Namespace(keep=kept.append), [])
        self.assertEqual(report.markdown(kept), '**raw failed**: no luck\n')

    def test_growth_is_a_ratio_of_the_same_case(self):
        raw = {'kind': 'raw', 'receivers': 5, 'offload': 'off', 'slowest_mbps': 1000.0, 'median_mbps': 1.0, 'lost': 0.0,
               'cpu_receiver_per_gib': 1.0}
        records = [raw, a_run('castpoint', 500, kind='growth'), a_run('castpoint', 900, rate='none'),
                   a_run('castpoint', 800, kind='growth', offload='on')]
        table = report.growth_table(records)[0]
        self.assertEqual(self.cells(table, '| off |')[3:6], ['500', '1000', '0.50'])
        self.assertEqual(self.cells(table, '| on |')[3:6], ['800', '–', '–'])


class Https(unittest.TestCase):
    RUNS = {(n, name): [{'mbps': rate, 'cpu': 1.0} for rate in rates]
            for n, name, rates in ((1, 'nginx', (900, 1000, 5000)), (1, 'castpoint', (1, 950, 990)),
                                   (20, 'nginx', (1000, 1000, 1000)), (20, 'castpoint', (900, 900, 2000)))}

    def test_medians_are_judged(self):
        self.assertEqual(https.below([1, 20], self.RUNS, 0.9), [])
        self.assertEqual(https.below([1, 20], self.RUNS, 0.91), ['with 20 clients 0.900 of nginx, which is less than 0.91'])
        self.assertEqual(len(https.below([1, 20], self.RUNS, 0.96)), 2)
        self.assertEqual(https.below([1, 20], self.RUNS, None), [])

    def test_table(self):
        self.assertIn('| 1 | nginx | 1000 (900–5000) | 1.00 | 1.00 |', https.table([1, 20], self.RUNS))
        self.assertIn('| 20 | castpoint | 900 (900–2000) | 0.90 | 1.00 |', https.table([1, 20], self.RUNS))

    def test_what_a_ratio_is(self):
        self.assertEqual(https.ratio_of('0.9'), 0.9)
        for text in ('0', '-1', 'nan', 'inf', '90%', ''):
            with self.assertRaises((ValueError, argparse.ArgumentTypeError)):
                https.ratio_of(text)


class Picture(unittest.TestCase):
    def test_is_xml_with_a_bar_for_each_result(self):
        records = [a_run(t, g, loss=loss, receivers=n) for t, g in (('castpoint', 400), ('uftp', 90)) for loss in (0.0, 5.0)
                   for n in (1, 5)] + [a_run('castpoint', 200), a_hang('a<b>&c')]
        root = xml.etree.ElementTree.fromstring(plot.draw(records))
        bars = [r for r in root.iter('{http://www.w3.org/2000/svg}rect') if r.get('fill') == plot.COLOURS['castpoint']]
        self.assertEqual(len(bars), 1 + 4)  # legend, and one for each case
        words = [t.text for t in root.iter('{http://www.w3.org/2000/svg}text')]
        self.assertIn('a<b>&c', words)
        self.assertIn('H', words)
        self.assertTrue(all(float(r.get('height')) >= 0 for r in bars))

    def test_taller_is_faster(self):
        root = xml.etree.ElementTree.fromstring(plot.draw([a_run('castpoint', 400), a_run('uftp', 100)]))
        height = {r.get('fill'): float(r.get('height')) for r in root.iter('{http://www.w3.org/2000/svg}rect')}
        self.assertAlmostEqual(height[plot.COLOURS['castpoint']], 4 * height[plot.COLOURS['uftp']], delta=0.3)

    def test_larger_files_go_first(self):
        svg = plot.draw([a_run('castpoint', 400, size=2 * MIB), a_hang('castpoint')])
        self.assertNotIn('>H<', svg)
        self.assertIn('1 MiB', svg)

    def test_axis(self):
        for value, top in ((0, 1), (1, 1), (3, 5), (99, 100), (100, 100), (101, 200), (210, 250), (941, 1000)):
            self.assertAlmostEqual(plot.nice_top(value), top)

    def test_nothing_to_draw(self):
        xml.etree.ElementTree.fromstring(plot.draw([]))


class Options(unittest.TestCase):
    def test_lists(self):
        args = bench.parse(['run', '--receivers', '1,5', '--loss', '0,0.5', '--rate', 'none,1gbit', '--offload', 'on,off', '--size', '4M'])
        self.assertEqual(experiments.cases(args)[0], (4 * MIB, 1, 'none', 0.0, 'on'))
        self.assertEqual(len(experiments.cases(args)), 16)
        self.assertEqual(bench.parse(['small']).receivers, [5])

    def test_nonsense_is_refused(self):
        for words in (['--receivers', '0'], ['--receivers', 'x'], ['--loss', '-1'], ['--loss', '100'], ['--rate', 'fast'],
                      ['--size', '0'], ['--size', '5X'], ['--tools', 'rsync'], ['--offload', 'maybe'], ['--uftp-rate', '-2'], ['--mac', 'md5']):
            with self.assertRaises(SystemExit, msg=words), mock.patch('sys.stderr'):
                bench.parse(['run', *words])

    def test_all_has_its_parts_with_their_own_settings(self):
        args = bench.parse(['all', '--rounds', '1'])
        parts = bench.parts_of(args)
        self.assertEqual([n for n, _ in parts], ['run', 'run', 'run', 'small', 'growth', 'memory'])
        self.assertEqual(parts[0][1].rounds, 1)
        self.assertEqual(parts[1][1].offload, ['gro'])
        self.assertEqual(parts[2][1].rate, ['none'])
        self.assertEqual(parts[0][1].rate, ['1gbit'])
        names = ['castpoint', 'udpcast', 'uftp', 'https']
        self.assertLess(sum(bench.seconds_of(n, a, names) for n, a in bench.parts_of(bench.parse(['all']))), 3600)

    def test_time_limit(self):
        self.assertEqual(experiments.time_limit(25 * 10**6, None), 30)
        self.assertEqual(experiments.time_limit(1 << 30, 7), 7)


class Commands(unittest.TestCase):
    def make(self, names):
        args = argparse.Namespace(mc_bench='/mc', mac='hmac', castpoint_send='--trace', castpoint_recv='')
        return tools.make(names, argparse.Namespace(server='198.18.1.1'), args)

    def test_each_tool_sends_this_file_to_all(self):
        content = transfer.Content('/d/file', 7, 'x', '/d/digests', '/d/secret')
        job = transfer.Job(content, 3)
        with tempfile.TemporaryDirectory() as folder, mock.patch('subprocess.run'):
            for tool in self.make(tools.NAMES):
                received = tool.receiver(job, 3, '/d/r3')
                self.assertIn('/d/r3', ' '.join(received))
                if tool.multicast:
                    self.assertIn('/d/file', tool.sender(job, folder))
                else:
                    tool.sender(job, folder)
                    self.assertIn('https://198.18.1.1/file', received)

    def test_castpoint_gets_no_rate(self):
        tool = self.make(['castpoint'])[0]
        words = tool.sender(transfer.Job(transfer.Content('/f', 7, '', '/d', '/s'), 1), '/')
        self.assertFalse([w for w in words if 'rate' in w])
        self.assertEqual(words[-3:], ['--mac', 'hmac', '--trace'])

    def test_uftp_is_given_the_best_of_its_rates(self):
        tool, speeds = tools.Uftp(), {-1: 100.0, 350000: 300.0, 244999: 310.0, 245000: 310.0, 489999: None, 490000: None}
        fake = mock.Mock(args=argparse.Namespace(uftp_rate='search'))
        fake.measure = lambda t, job, kind: {'goodput_mbps': speeds[t.rate_kbps]}
        job = transfer.Job(transfer.Content('/f', 64 * MIB, '', '', ''), 5)
        experiments.tune_uftp(fake, tool, job)
        self.assertIn(tool.rate_kbps, (244999, 245000))
        self.assertIn('searched', tool.note)

    def test_a_tool_that_hangs_twice_is_left_alone(self):
        args = bench.parse(['run', '--receivers', '2', '--size', '1M', '--rounds', '5', '--loss', '1',
                            '--tools', 'castpoint,udpcast'])
        vars(args).update(mc_bench='/mc')
        tried = []

        class Fake(experiments.Bench):
            def set_up(self, job):
                pass

            def content(self, size):
                return transfer.Content('/f', size, '', '', '')

            def measure(self, tool, job, kind='run', round_number=1):
                tried.append(tool.name)
                return a_hang(tool.name) if tool.name == 'udpcast' else a_run(tool.name, 1)

        fake = Fake(args, argparse.Namespace(server=''), '/d', lambda _: None, lambda _: None)
        experiments.run(fake, ['castpoint', 'udpcast'])
        self.assertEqual((tried.count('castpoint'), tried.count('udpcast')), (5, 2))
        self.assertEqual(tried[:4], ['castpoint', 'udpcast', 'udpcast', 'castpoint'])  # another one begins each round


class Files(unittest.TestCase):
    def test_content_and_its_digests(self):
        with tempfile.TemporaryDirectory() as folder:
            content = transfer.make_content(folder, MIB + 5)
            self.assertEqual(os.path.getsize(content.path), MIB + 5)
            self.assertEqual(transfer.sha256_of(content.path), content.digest)
            self.assertEqual(os.path.getsize(content.digests), 64)
            with open(content.path, 'r+b') as f:
                f.write(bytes(64))
            self.assertNotEqual(transfer.sha256_of(content.path), content.digest)
        self.assertIsNone(transfer.sha256_of(content.path))

    def test_sparse_object_has_true_digests(self):
        with tempfile.TemporaryDirectory() as folder:
            path = experiments.sparse_content(folder, 3 * MIB + 1)
            with open(path + '.digests', 'rb') as f:
                found = f.read().hex()
            self.assertEqual(len(found), 4 * 64)
            whole = os.path.join(folder, 'chunk')
            with open(whole, 'wb') as f:
                f.write(bytes(MIB))
            self.assertEqual(found[64:128], transfer.sha256_of(whole))
            with open(whole, 'wb') as f:
                f.write(bytes(1))
            self.assertEqual(found[192:], transfer.sha256_of(whole))

    def test_figures_of_mc_bench(self):
        self.assertEqual(transfer.fields_of('warning\nrecv code=ok lost=1/2 cpu=0.5\n'), {'code': 'ok', 'lost': '1/2', 'cpu': '0.5'})
        self.assertEqual(transfer.fields_of('usage'), {})

    def test_check_tells_what_a_build_needs(self):
        self.assertIn('cmake', install.build_packages())


class Processes(unittest.TestCase):
    """Without namespaces: `ip netns exec NAME` is left out of the command."""

    def setUp(self):
        real = process.subprocess.Popen
        patch = mock.patch.object(process.subprocess, 'Popen', lambda words, **kw: real(words[:3] + words[7:], **kw))
        patch.start()
        self.addCleanup(patch.stop)

    def soon(self):
        return time.monotonic() + 20

    def test_waits_for_the_word_to_go(self):
        with process.Watch() as watch:
            p = watch.start('', ['echo', 'here'])
            self.assertFalse(watch.until(lambda: p.ended, time.monotonic() + 0.2))
            p.go()
            self.assertTrue(watch.until(lambda: p.ended, self.soon()))
            self.assertEqual((p.status, p.text(), p.done), (0, 'here\n', p.ended))

    def test_done_by_its_words(self):
        with process.Watch() as watch:
            p = watch.start('', ['sh', '-c', 'echo got it all; exec sleep 60'], marker=rb'got .* all')
            p.go()
            self.assertTrue(watch.until(lambda: p.done, self.soon()))
            self.assertIsNone(p.ended)
            watch.stop(signal.SIGTERM, 5)
            self.assertEqual(p.status, -signal.SIGTERM)
            self.assertLess(p.done, p.ended)

    def test_failure_is_not_done(self):
        with process.Watch() as watch:
            p = watch.start('', ['false'])
            p.go()
            self.assertTrue(watch.until(lambda: p.ended, self.soon()))
            self.assertIsNone(p.done)

    def test_nothing_is_left(self):
        with process.Watch() as watch:
            p = watch.start('', ['sh', '-c', 'trap "" TERM; sleep 60 & echo $!; while :; do sleep 60; done'], marker=rb'\d+\n')
            p.go()
            self.assertTrue(watch.until(lambda: p.done, self.soon()))
            child = os.pidfd_open(int(p.text()))
            self.addCleanup(os.close, child)
            watch.stop(signal.SIGTERM, 0.2)
            self.assertEqual(p.status, -signal.SIGKILL)
        self.assertEqual(select.select([child], [], [], 20)[0], [child])

    def test_one_bench_at_a_time(self):
        with lab.only_one('test'), self.assertRaises(lab.Failed), lab.only_one('test'):
            self.fail('both hold it')
        with lab.only_one('test'):
            pass


if __name__ == '__main__':
    sys.dont_write_bytecode = True
    unittest.main()
