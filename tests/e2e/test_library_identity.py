"""Whose content library it is: castpointd on another database, on one that was restored from an older dump, and killed at its
first start. Time goes by a library that puts the service's clock forward."""
import os
import re
import shutil
import signal
import subprocess
import unittest

from castlab import wait_until
from loopback import Service

LIBRARY = '/api/v1/distribution-points/local/library'
DAYS = 2  # a grace is 24 hours


def other(conninfo, name):
    return re.sub(r'dbname=\S+', f'dbname={name}', conninfo)


class LibraryIdentity(unittest.TestCase):
    def setUp(self):
        self.owner, self.database = os.environ['CASTPOINT_TEST_DB'], os.environ['CASTPOINT_TEST_SERVICE_DB']
        self.sql(self.owner, 'DROP DATABASE IF EXISTS library_a WITH (FORCE)', 'DROP DATABASE IF EXISTS library_b WITH (FORCE)',
                 'CREATE DATABASE library_a', 'CREATE DATABASE library_b')
        self.service = Service(*self.conninfos('library_a'))
        self.addCleanup(self.service.close)
        self.clock = os.path.join(self.service.folder, 'clock.so')
        source = os.path.join(self.service.folder, 'clock.c')
        with open(source, 'w', encoding='utf-8') as f:
            f.write('#define _GNU_SOURCE\n#include <sys/syscall.h>\n#include <time.h>\n#include <unistd.h>\n'
                    'int clock_gettime(clockid_t c, struct timespec *t)\n{\n    int rc = (int)syscall(SYS_clock_gettime, c, t);\n'
                    f'    t->tv_sec += c == CLOCK_REALTIME ? {DAYS} * 86400 : 0;\n    return rc;\n}}\n')
        subprocess.run(['cc', '-shared', '-fPIC', '-o', self.clock, source], check=True)
        self.password = self.service.password()
        self.passwords = {'library_a': self.password}

    def conninfos(self, name):
        return other(self.database, name), other(self.owner, name)

    def sql(self, conninfo, *statements):
        words = [w for s in statements for w in ('-c', s)]
        return subprocess.run(['psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', conninfo, *words], check=True, capture_output=True, text=True).stdout.strip()

    def api(self, method, path, body=None, status=None):
        answer = self.service.send(method, path, body, self.password)
        if status is not None:
            self.assertEqual(answer[0], status, answer[2])
        return answer[2]

    def upload(self, package):
        """A sealed version. -> its bytes"""
        data = os.urandom(20000)
        self.api('POST', '/api/v1/packages', {'name': package}, 201)
        self.api('POST', f'/api/v1/packages/{package}/versions', {}, 201)
        self.api('PUT', f'/api/v1/packages/{package}/versions/1/files/a.bin', data, 201)
        self.api('POST', f'/api/v1/packages/{package}/versions/1/seal', {}, 202)
        wait_until(lambda: self.api('GET', f'/api/v1/packages/{package}/versions/1')['state'] == 'sealed', 20, 'it is sealed')
        return data

    def fetch(self, package):
        return self.api('GET', f'/api/v1/packages/{package}/versions/1/files/a.bin', status=200)

    def blobs(self):
        return [f for _, _, files in os.walk(os.path.join(self.service.state, 'content', 'sha256')) for f in files]

    def stop(self, how=signal.SIGTERM):
        self.service.process.send_signal(how)
        self.service.process.wait(60)

    def start(self, name, later=False):
        database, owner = self.conninfos(name)
        self.service.words = ['--database', database, '--migrate-database', owner]
        if later:
            os.environ['LD_PRELOAD'] = self.clock
        try:
            self.service.start()
        finally:
            os.environ.pop('LD_PRELOAD', None)
        written = self.service.password()  # by the newest first start; each database has its own
        self.password = self.passwords.setdefault(name, written)

    def ended(self, kind):
        """The newest task of that kind, once it has ended. A first collection comes with every start that finds none."""
        def newest():
            items = self.api('GET', f'/api/v1/tasks?kind={kind}&limit=1')['items']
            return items[0] if items and items[0]['state'] in ('done', 'failed') else None
        return wait_until(newest, 30, f'{kind} has ended')

    def collect(self):
        task = self.api('POST', f'{LIBRARY}/collect', {}, 202)['id']
        wait_until(lambda: self.api('GET', f'/api/v1/tasks/{task}')['state'] in ('done', 'failed'), 30, 'collected')
        return self.api('GET', f'/api/v1/tasks/{task}')

    def adopt(self):
        return subprocess.run([os.environ['CASTPOINTD'], '--adopt-library', '--state-dir', self.service.state, *self.service.words],
                              capture_output=True, text=True, timeout=60)

    def events(self, kind):
        return len(self.api('GET', f'/api/v1/events?kind={kind}')['items'])

    def test_an_empty_database_removes_nothing(self):
        data = self.upload('image')
        partial = os.path.join(self.service.state, 'content', 'partial', '01234567-89ab-4cde-8f01-23456789abcd')
        with open(partial, 'w', encoding='utf-8') as f:
            f.write('half')
        self.stop()
        self.start('library_b', later=True)
        for kind in ('collect-garbage', 'expire-uploads'):
            task = self.ended(kind)
            self.assertEqual((task['state'], task['error']['code']), ('failed', 'library-foreign'), task)
            self.assertIn('--adopt-library', task['error']['remedy'])
        self.assertEqual((len(self.blobs()), os.path.exists(partial)), (1, True))
        self.assertTrue(self.api('GET', LIBRARY)['identity']['foreign'])
        self.assertEqual(self.service.send('GET', '/readyz')[2], {'status': 'ready', 'library': 'foreign', 'audit_log': 'append-only'})
        self.upload('theirs')
        self.stop()
        self.start('library_b')
        self.assertEqual(self.events('library-foreign'), 1)
        running = self.adopt()
        self.assertNotEqual(running.returncode, 0)
        self.assertIn('another process uses this content library', running.stderr)

        # The right database: nothing is lost, and nothing was changed.
        self.stop()
        self.start('library_a', later=True)
        self.assertEqual(self.fetch('image'), data)
        self.assertEqual(self.ended('collect-garbage')['state'], 'done')
        self.assertEqual(self.service.send('GET', '/readyz')[2]['library'], 'own')

        # The other one is to have it after all.
        self.stop()
        self.start('library_b')
        theirs = self.fetch('theirs')
        self.stop()
        content = os.path.join(self.service.state, 'content')
        owner = os.stat(content)
        os.chown(content, 1, -1)
        stranger = self.adopt()
        os.chown(content, owner.st_uid, -1)
        self.assertNotEqual(stranger.returncode, 0)
        self.assertIn('belongs to another user', stranger.stderr)
        adopted = self.adopt()
        self.assertEqual(adopted.returncode, 0, adopted.stderr)
        self.assertIn('Of its 3 files the database knows 1', adopted.stdout)
        self.assertIn('already', self.adopt().stdout)
        self.start('library_b', later=True)
        self.assertEqual(self.events('library-accepted'), 1)
        self.assertEqual(self.collect()['state'], 'done')
        self.assertEqual(len(self.blobs()), 2)  # in their grace, which began with the look
        settings = '/api/v1/distribution-points/local/settings'
        etag = self.service.send('GET', settings, None, self.password)[1]['ETag']
        self.assertEqual(self.service.send('PATCH', settings, {'library_grace_hours': 0}, self.password, {'If-Match': etag})[0], 200)
        self.assertEqual(self.collect()['result']['stray_files'], 1)
        self.assertEqual(self.fetch('theirs'), theirs)
        self.stop()
        self.start('library_a')
        self.assertEqual(self.service.send('GET', '/readyz')[2]['library'], 'foreign')  # it was given away

    def test_an_older_dump_keeps_what_was_uploaded_after_it(self):
        first = self.upload('first')
        dump = os.path.join(self.service.folder, 'dump')
        _, owner = self.conninfos('library_a')
        subprocess.run(['pg_dump', '-Fc', '-f', dump, owner], check=True)
        second = self.upload('second')
        self.stop()
        newer = os.path.join(self.service.folder, 'newer')
        subprocess.run(['pg_dump', '-Fc', '-f', newer, owner], check=True)
        subprocess.run(['pg_restore', '-d', self.conninfos('library_b')[1], dump], check=True)
        self.start('library_b', later=True)
        self.assertEqual(self.service.send('GET', '/readyz')[2]['library'], 'own')
        self.assertEqual(self.collect()['result']['stray_files'], 0)
        self.assertEqual(len(self.blobs()), 2)
        self.assertEqual(self.fetch('first'), first)
        self.stop()
        self.sql(self.owner, 'DROP DATABASE library_b', 'CREATE DATABASE library_b')
        subprocess.run(['pg_restore', '-d', self.conninfos('library_b')[1], newer], check=True)
        self.start('library_b', later=True)
        self.assertEqual(self.fetch('second'), second)

    def test_killed_at_its_first_start_it_knows_its_own_library(self):
        """At whatever moment of it: none leaves a library that its node calls foreign."""
        identity = os.path.join(self.service.state, 'content', 'identity')
        for i in range(9):
            self.stop(signal.SIGKILL)
            self.sql(self.owner, 'DROP DATABASE library_a WITH (FORCE)', 'CREATE DATABASE library_a')
            shutil.rmtree(self.service.state)
            self.service.start()
            if i % 3 == 0:
                wait_until(lambda: os.path.exists(identity), 20, 'the library has an identity')
            try:
                self.service.process.wait(0.02 * i)
            except subprocess.TimeoutExpired:
                pass
            self.stop(signal.SIGKILL)
            self.service.start()
            self.password = self.service.password()
            self.assertEqual(self.service.send('GET', '/readyz')[2], {'status': 'ready', 'library': 'own', 'audit_log': 'append-only'})
            self.assertEqual(self.events('library-foreign') + self.events('library-accepted'), 0)
        self.upload('image')
        self.assertEqual(self.collect()['state'], 'done')


if __name__ == '__main__':
    unittest.main()
