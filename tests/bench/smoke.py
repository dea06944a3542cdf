#!/usr/bin/env python3
"""The bench works: tiny runs in real namespaces, whose records, table and picture are looked at. Needs root.

Usage: smoke.py BUILD_FOLDER. The peers take part when they are installed."""
import json
import os
import signal
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree

HERE = os.path.dirname(os.path.abspath(__file__))
BENCH = os.path.join(HERE, 'bench')
PREFIX = 'bchs'
MIB = 1 << 20
BUILD = None


def bench(*words):
    return [sys.executable, '-B', BENCH, words[0], '--build', BUILD, '--no-install', '--quiet', '0', '--prefix', PREFIX, '--net', '84',
            '--rounds', '1', *words[1:]]


def left_behind():
    """Namespaces, files and processes of this prefix."""
    spaces = subprocess.run(['ip', 'netns', 'list'], capture_output=True, text=True, check=True).stdout
    files = [f for d in ('/dev/shm', '/var/tmp') for f in os.listdir(d) if f.startswith(f'castpoint-{PREFIX}-')]
    return [n for n in spaces.split() if n.startswith(PREFIX + '-')] + files


class Smoke(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.out = folder.name

    def run_bench(self, *words):
        p = subprocess.run(bench(*words, '--out', self.out), capture_output=True, text=True, timeout=100, check=False)
        self.assertEqual(p.returncode, 0, p.stderr + p.stdout)
        self.assertEqual(left_behind(), [])
        with open(f'{self.out}/{words[0]}.jsonl', encoding='utf-8') as f:
            return p.stdout, [json.loads(line) for line in f]

    def test_transfer(self):
        text, records = self.run_bench('run', '--receivers', '2', '--loss', '2', '--size', '4M', '--tools', 'castpoint,uftp,https',
                                       '--uftp-rate', '-1', '--timeout', '15')
        self.assertEqual(records[0]['kind'], 'host')
        ours = [r for r in records if r.get('tool') == 'castpoint']
        self.assertEqual([(r['verdict'], r['right']) for r in ours], [('ok', 2)])
        self.assertGreater(ours[0]['goodput_mbps'], 0)
        self.assertGreater(ours[0]['wire_ratio'], 1.0)
        self.assertGreater(ours[0]['cpu_receiver_per_gib'], 0)
        self.assertAlmostEqual(ours[0]['goodput_mbps'] * ours[0]['seconds'], 4 * MIB * 8 / 1e6, places=3)
        lost = int(ours[0]['receiver']['lost'].split('/')[0])
        self.assertGreater(lost, 0)  # else the loss is not there
        for r in records[1:]:
            self.assertIn(f"| 2 | 2 | {r['tool']} | 1 |", text)
        with open(f'{self.out}/run.md', encoding='utf-8') as f:
            self.assertEqual(f.read().strip(), text.strip())
        self.assertIn('svg', xml.etree.ElementTree.parse(f'{self.out}/run.svg').getroot().tag)

    def test_raw_limit(self):
        text, records = self.run_bench('raw', '--receivers', '2', '--offload', 'off', '--seconds', '0.3')
        self.assertIn('### Bare UDP_SEGMENT', text)
        self.assertGreater(records[1]['slowest_mbps'], 1)

    def test_memory(self):
        text, records = self.run_bench('memory', '--seconds', '1')
        self.assertEqual([r['role'] for r in records[1:]], ['sender', 'receiver'])
        for r in records[1:]:
            self.assertGreater(r['moved'], MIB)
            self.assertGreater(r['peak'], MIB)
        self.assertIn('| 50 GB |', text)

    def test_interrupted(self):
        """A peer that hangs is cut off by Ctrl-C; nothing is left, and the records so far are there."""
        p = subprocess.Popen(bench('run', '--receivers', '1', '--loss', '0', '--size', '1M', '--tools', 'castpoint', '--castpoint-recv',
                                   '--port 7778', '--out', self.out), stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
        self.assertIn('minutes', p.stderr.readline())
        self.assertIn('1 receivers', p.stderr.readline())
        p.send_signal(signal.SIGINT)
        said = p.communicate(timeout=30)[1]
        self.assertEqual(p.returncode, 130, said)
        self.assertEqual(left_behind(), [])
        with open(f'{self.out}/run.jsonl', encoding='utf-8') as f:
            self.assertEqual(json.loads(f.readline())['kind'], 'host')

    def test_hang(self):
        p = subprocess.run(bench('run', '--receivers', '1', '--loss', '0', '--size', '1M', '--tools', 'castpoint', '--timeout', '1.5',
                                 '--castpoint-recv', '--port 7778', '--out', self.out), capture_output=True, text=True, timeout=60, check=False)
        self.assertEqual(p.returncode, 1, p.stderr)
        self.assertIn('HANG 1 of 1', p.stdout)
        self.assertEqual(left_behind(), [])


if __name__ == '__main__':
    BUILD = sys.argv.pop(1)
    unittest.main(verbosity=2)
