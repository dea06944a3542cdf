#!/usr/bin/env python3
"""The style tests can fail: each rule meets a sample that breaks it and one that does not."""
import os
import subprocess
import sys
import tempfile
import unittest

import access
import includes
import manual
import sizes
import unfinished

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, '../../tools'))
import rfc_map  # noqa: E402


class Includes(unittest.TestCase):
    def complaints(self, path, text, files=()):
        found = []
        includes.check_file(path, text, set(files).__contains__, found)
        return found

    def test_project_headers(self):
        self.assertEqual(self.complaints('multicast/io/a.c', '#include "multicast/norm/wire.h"\n'), [])
        self.assertEqual(self.complaints('server/a.c', '#include "multicast/session.h"\n#include "db/conn.h"\n'), [])
        for path, header in [('multicast/norm/a.c', 'multicast/fec/fec.h'), ('common/a.c', 'db/conn.h'),
                             ('server/a.c', 'multicast/io/udp.h'), ('client/a.c', 'api/framework/router.h'),
                             ('db/a.c', 'api/framework/router.h'), ('multicast/norm/a.c', 'wire.h')]:
            self.assertEqual(len(self.complaints(path, f'#include "{header}"\n')), 1, (path, header))

    def test_own_header_first(self):
        text = '#include <stdint.h>\n#include "db/conn.h"\n'
        self.assertEqual(len(self.complaints('db/conn.c', text, ['db/conn.h'])), 1)
        self.assertEqual(self.complaints('db/conn.c', '#include "db/conn.h"\n#include <stdint.h>\n', ['db/conn.h']), [])

    def test_foreign_headers(self):
        for path, header in [('api/a.c', 'libpq-fe.h'), ('server/main.c', 'microhttpd.h'), ('db/a.c', 'openssl/evp.h'),
                             ('multicast/norm/a.c', 'stdio.h'), ('multicast/seal/a.c', 'sys/socket.h'),
                             ('multicast/norm/a.c', 'time.h'), ('server/a.c', 'jansson.h')]:
            self.assertEqual(len(self.complaints(path, f'#include <{header}>\n')), 1, (path, header))
        for path, header in [('db/a.c', 'libpq-fe.h'), ('server/http.c', 'microhttpd.h'),
                             ('content/digest.c', 'openssl/evp.h'), ('multicast/io/udp.c', 'sys/socket.h')]:
            self.assertEqual(self.complaints(path, f'#include <{header}>\n'), [], (path, header))

    def test_one_file(self):
        found = []
        includes.check_one_file({'client/a.c': ['curl/curl.h'], 'client/b.c': ['curl/curl.h']}, found)
        self.assertEqual(len(found), 1)

    def test_clock(self):
        self.assertEqual(len(self.complaints('server/a.c', 'x = time(NULL);\n')), 1)
        self.assertEqual(len(self.complaints('multicast/io/a.c', 'clock_gettime(CLOCK_MONOTONIC, &ts);\n')), 1)
        self.assertEqual(self.complaints('server/a.c', '/* time (UTC) */ next_time(s);\n'), [])


class Access(unittest.TestCase):
    def test_one_decision(self):
        for path, text, wrong, asks in [('api/content/files.c', 'if (v->access == DB_ACCESS_ANONYMOUS) {', 1, False),
                                        ('server/a.c', 'if (s.content_access != x) {', 1, False),
                                        ('api/access/access.c', 'access == DB_ACCESS_ANONYMOUS; api_access_decide();', 0, False),
                                        ('api/content/deliver.c', 'api_access_decide(v->access, node);', 0, True),
                                        ('api/content/files.c', '/* DB_ACCESS_INHERIT */ x = s.content_access;', 0, False)]:
            found = []
            self.assertEqual(access.check_file(path, text, found), asks, path)
            self.assertEqual(len(found), wrong, found)


class Sizes(unittest.TestCase):
    def complaints(self, text, path='db/a.c'):
        found = []
        sizes.check_file(path, f'{sizes.LICENCE} */\n{text}', found)
        return [what for _, _, what in found]

    def function(self, lines, params='void'):
        return f'static int f({params})\n{{\n' + '    g();\n' * (lines - 3) + '}\n'

    def test_functions(self):
        self.assertEqual(self.complaints(self.function(100)), [])
        self.assertEqual(len(self.complaints(self.function(101))), 1)
        self.assertEqual(self.complaints(self.function(9, 'int a, int b, int c, int d, int e, int (*f)(int, int)')), [])
        self.assertEqual(len(self.complaints(self.function(9, 'int a, int b, int c, int d, int e, int f, int g'))), 1)

    def test_the_text_for_humans_does_not_count(self):
        six = 'int a, int b, int c, int d, int e, int *ret_f'
        self.assertEqual(self.complaints(self.function(9, six + ', struct cp_error *err')), [])
        self.assertEqual(len(self.complaints(self.function(9, six + ', int g, struct cp_error *err'))), 1)

    def nested(self, depth):
        opening = ''.join('    ' * (i + 1) + 'if (a) {\n' for i in range(depth))
        closing = ''.join('    ' * (depth - i) + '}\n' for i in range(depth))
        return f'static int f(int a)\n{{\n    struct s x = {{1}};\n{opening}    g();\n{closing}}}\n'

    def test_nesting(self):
        self.assertEqual(self.complaints(self.nested(4)), [])
        self.assertEqual(len(self.complaints(self.nested(5))), 1)

    def test_files(self):
        self.assertEqual(self.complaints('int a;\n' * 999), [])
        self.assertEqual(len(self.complaints('int a;\n' * 1000)), 1)
        self.assertEqual(len(self.complaints('int a;\n' * 300, 'db/a.h')), 1)
        self.assertEqual(len(self.complaints('int a; // why\n')), 1)
        self.assertEqual(self.complaints('static const char *u = "https://a";\n'), [])
        found = []
        sizes.check_file('db/a.c', 'int a;\n', found)
        self.assertEqual(len(found), 1)


class Unfinished(unittest.TestCase):
    def test_marks(self):
        for bad in ['/* TODO: x */', 'x = 1; /* FIXME */', '# XXX', 'not implemented', 'a stub']:
            self.assertEqual(len(unfinished.marks('a.c', bad)), 1, bad)
        for good in ['mktemp a.XXXXXX', 'int todo_count;', 'stubborn']:
            self.assertEqual(unfinished.marks('a.c', good), [], good)


class Purity(unittest.TestCase):
    def run_on(self, code):
        with tempfile.TemporaryDirectory() as folder:
            for command in (['cc', '-O2', '-x', 'c', '-c', '-o', f'{folder}/a.o', '-'],
                            ['ar', 'rc', f'{folder}/libcp_norm.a', f'{folder}/a.o']):
                subprocess.run(command, input=code.encode(), check=True)
            return subprocess.run([f'{HERE}/purity', 'nm', f'{HERE}/purity.allow', f'{folder}/libcp_norm.a'],
                                  capture_output=True, text=True, check=False)

    def test_symbols(self):
        self.assertEqual(self.run_on('void free(void *); void a(void *p) { free(p); }').returncode, 0)
        done = self.run_on('long time(long *); long a(void) { return time(0); }')
        self.assertEqual(done.returncode, 1)
        self.assertIn('uses time', done.stdout)

    def test_state(self):
        done = self.run_on('int a(void) { static int n; return ++n; }')
        self.assertEqual(done.returncode, 1)
        self.assertIn('keeps state in n', done.stdout)
        self.assertEqual(self.run_on('static const int t[] = {1, 2}; int a(int i) { return t[i]; }').returncode, 0)


class Manual(unittest.TestCase):
    HELP = '  --name NAME   the name; see --other\n  -q, --quiet   no words\n  -h, --help    this text\n'
    PAGE = '.SH OPTIONS\nSee\n.BR \\-\\-elsewhere .\n.TP\n.BI \\-\\-name " NAME"\nLike\n.B \\-\\-other\n%s.SH NEXT\n.TP\n\\-\\-later\n'
    QUIET = '.TP\n.BR \\-q ", " \\-\\-quiet\nNo words.\n'

    def test_options(self):
        self.assertEqual(manual.complaints('p', self.HELP, self.PAGE % self.QUIET), [])
        self.assertEqual(manual.complaints('p', self.HELP, self.PAGE % ''), ['p: --quiet of --help is not under OPTIONS'])
        more = self.QUIET + '.TP\n.B \\-\\-gone\nIt was.\n'
        self.assertEqual(manual.complaints('p', self.HELP, self.PAGE % more), ['p: --gone is under OPTIONS, but not in --help'])


class RfcMap(unittest.TestCase):
    CODE = ('/* RFC5740 4.1: "x" */\n#define A 1\n\n/* Why.\n * RFC5740 5.3, RFC5401 3.2.2: "y" */\nstatic int f(int a)\n{\n'
            '    /* RFC5740 5.4.1: "z" */\n    return a;\n}\n')

    def test_code_and_its_owners(self):
        self.assertEqual(list(rfc_map.tags_of(self.CODE, False, False)),
                         [(('5740', '4.1'), 'A'), (('5740', '5.3'), 'f'), (('5401', '3.2.2'), 'f'),
                          (('5740', '5.4.1'), 'f')])

    def test_tests_and_their_owners(self):
        c = '/* Checks RFC5740 5.3, 5.4.1, RFC5401\n * 3.3. RFC5740 5.2 it does not. */\nstatic void t(void **state)\n{\n}\n'
        self.assertEqual(list(rfc_map.tags_of(c.replace('RFC5401\n * ', 'RFC5401 '), False, True)),
                         [(('5740', '5.3'), 't'), (('5740', '5.4.1'), 't'), (('5401', '3.3'), 't')])
        python = 'class A:\n    def test_b(self):\n        # Checks RFC5740 5.3.\n        pass\n'
        self.assertEqual(list(rfc_map.tags_of(python, True, True)), [(('5740', '5.3'), 'test_b')])

    def test_what_is_missing(self):
        every = {(rfc, n): [('a.c', 'f')] for rfc, (_, used, _) in rfc_map.RFCS.items() for n, _ in used}
        self.assertEqual(rfc_map.complaints(every, every), [])
        less = {key: places for key, places in every.items() if key != ('5740', '5.3')}
        self.assertEqual(rfc_map.complaints(less, every), ['RFC5740 5.3: no code'])
        self.assertEqual(rfc_map.complaints(every, less), ['RFC5740 5.3: no test'])
        self.assertEqual(len(rfc_map.complaints({**every, ('5740', '99'): [('a.c', 'f')]}, every)), 1)
        self.assertEqual(len(rfc_map.complaints(every, {**every, ('5740', '5.3'): [('a.c', '')]})), 1)


if __name__ == '__main__':
    unittest.main(argv=[sys.argv[0]])
