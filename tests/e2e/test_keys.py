"""The founding story, as far as keys go: emptied rows, a damaged certificate, another master key, rotations and
revocations, each before, during and after a session with a real castget. It ends in success or in the right code."""
import os
import random
import re
import signal
import subprocess
import time
import unittest

from castlab import CHUNK, ROOT, Case, Problem, random_bytes, read_text, wait_until

KEYS = '/api/v1/distribution-points/local/keys'
UNUSABLE = 'multicast-key-unusable'


def remedy_of(code):
    """As the catalogue has it, from which docs/errors.md is made."""
    section = read_text(os.path.join(ROOT, 'docs', 'errors.md')).split(f'\n## {code}\n')[1]
    return re.search(r'^- Remedy: (.+)$', section.split('\n## ')[0], re.MULTILINE)[1]


def read_bytes(path):
    with open(path, 'rb') as f:
        return f.read()


class Keys(Case):
    receivers = 3

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.files = {'image.bin': random_bytes(24 * CHUNK, 21)}
        cls.service.settings(content_access='anonymous')
        cls.service.publish('image', cls.files)
        cls.lab.call('rate', '100mbit')  # a transfer takes about two seconds

    def setUp(self):
        self.assertEqual(self.service.get('/readyz')['status'], 'ready')
        self.addCleanup(self.settle)

    def settle(self):
        """Whatever a test did: the next one finds good keys and no open session."""
        if self.service.process.poll() is not None:
            self.service.start()
        self.service.settings(key_repair=True, key_overlap_hours=168)
        for s in self.service.get('/api/v1/sessions?live=true')['items']:
            self.ignore_problem('POST', f"/api/v1/sessions/{s['id']}/cancel")
        self.service.api('POST', f'{KEYS}/multicast/check')
        wait_until(lambda: not self.service.get('/api/v1/sessions?live=true')['items'], 30, 'no session is open')

    def ignore_problem(self, method, path):
        try:
            self.service.api(method, path)
        except Problem:
            pass

    def identity(self):
        return self.service.get('/api/v1')['identity_key']

    def post(self, path, body=None):
        return self.service.api('POST', KEYS + path, body)[2]

    def kinds_since(self, event):
        return self.service.sql(f'SELECT kind FROM events WHERE id > {event} ORDER BY id').split()

    def last_event(self):
        return int(self.service.sql('SELECT coalesce(max(id), 0) FROM events'))

    def in_the_middle(self, fetch):
        def there():
            self.assertIsNone(fetch.process.poll(), fetch.text())
            sessions = self.service.get('/api/v1/sessions?live=true')['items']
            return any(r['bytes_done'] > 0 and r['state'] == 'receiving' for s in sessions
                       for r in self.service.get(f"/api/v1/sessions/{s['id']}/receivers")['items'])
        wait_until(there, 30, 'a transfer is under way')

    def refused(self, fetch, status, code):
        self.assertEqual(fetch.wait(), status, fetch.text())
        said = fetch.text()
        self.assertIn(f'castget: {code}: ', said)
        self.assertTrue(said.rstrip().endswith(remedy_of(code)), said)
        self.assertEqual(fetch.summary()['code'], code)
        self.assert_nothing_visible(fetch)

    def assert_by_multicast(self, fetch):
        self.assert_fetched(fetch, self.files)
        self.assertGreater(fetch.summary()['bytes_multicast'], 0, fetch.text())

    # ---- keys in memory ----

    def test_no_core_dumps(self):
        """Neither program leaves its memory behind when it dies."""
        fetch = self.fetch('r1', 'image')
        self.in_the_middle(fetch)
        for pid in self.service.process.pid, fetch.process.pid:
            with open(f'/proc/{pid}/limits') as f:
                core = [line.split()[4:6] for line in f if line.startswith('Max core file size')]
            self.assertEqual(core, [['0', '0']])
        self.assert_by_multicast(fetch)

    # ---- harm ----

    HARM = ("DELETE FROM keys",
            "DELETE FROM keys WHERE kind = 'multicast'",
            "UPDATE keys SET certificate = 'nonsense' WHERE kind = 'multicast'",
            "UPDATE keys SET private_sealed = '\\x00' WHERE state = 'active'")

    def test_harm_before_and_after_a_session(self):
        for i, sql in enumerate(self.HARM):
            with self.subTest(sql=sql):
                event = self.last_event()
                self.service.sql(sql)
                self.assert_by_multicast(self.fetch('r1', 'image', name=f'before{i}'))
                self.assertTrue([k for k in self.kinds_since(event) if k.startswith('multicast-key-')])
                self.service.sql(sql)
                self.assert_by_multicast(self.fetch('r2', 'image', name=f'after{i}'))

    def test_harm_during_a_session(self):
        for i, sql in enumerate(self.HARM):
            with self.subTest(sql=sql):
                first = self.fetch('r1', 'image', name=f'first{i}')
                self.in_the_middle(first)
                self.service.sql(sql)
                late = self.fetch('r2', 'image', name=f'late{i}')
                self.assert_by_multicast(first)
                self.assert_fetched(late, self.files)

    def test_harm_that_nobody_may_repair(self):
        self.service.settings(key_repair=False)
        self.service.sql("UPDATE keys SET private_sealed = '\\x00' WHERE state = 'active' AND kind = 'multicast'")
        self.refused(self.fetch('r1', 'image', name='damaged'), 6, UNUSABLE)
        with self.assertRaises(Problem) as p:
            self.service.api('POST', '/api/v1/joins', {'package': 'image', 'client_id': 'x'}, who=None)
        self.assertEqual((p.exception.status, p.exception.code), (503, UNUSABLE))
        self.assertIn('rotate', p.exception.body['remedy'])
        shown = self.post('/multicast/check')
        self.assertEqual((shown['health'], shown['active']['state']), ('broken', 'damaged'))
        self.post('/multicast/rotate')
        self.assert_by_multicast(self.fetch('r1', 'image', name='rotated'))

    def test_keys_are_gone_for_who_pins_the_identity(self):
        """The service makes new keys; who knows the former identity is told both, and takes nothing on trust."""
        old = self.identity()
        self.service.sql('DELETE FROM keys')
        late = self.fetch('r1', 'image', '--identity', old, name='pinned')
        self.refused(late, 6, 'signature-invalid')
        new = self.identity()
        self.assertNotEqual(new, old)
        self.assertIn(f'identity is {new}', late.text())
        self.assertIn('compare it with what its operator tells you', late.text())
        self.assert_by_multicast(self.fetch('r1', 'image', '--identity', new, name='told'))

    # ---- rotation and revocation ----

    def test_rotation_during_a_session(self):
        first = self.fetch('r1', 'image', '--identity', self.identity(), name='first')
        self.in_the_middle(first)
        old = self.identity()
        self.post('/multicast/rotate')
        self.post('/identity/rotate')
        self.assertNotEqual(self.identity(), old)
        second = self.fetch('r2', 'image', '--identity', old, '--log-format', 'json', name='second')
        self.assert_by_multicast(first)
        self.assert_fetched(second, self.files)
        self.assertIn('identity-rotated', second.text())
        self.assertIn(self.identity(), second.text())

    def test_rotation_while_a_session_waits(self):
        """Tickets that were given before go on holding."""
        self.service.settings(gathering_delay_ms=4000)
        self.addCleanup(lambda: self.service.settings(gathering_delay_ms=500))
        fetch = self.fetch('r1', 'image', '--identity', self.identity())
        wait_until(lambda: self.service.get('/api/v1/sessions?live=true')['items'], 30, 'a session waits')
        self.post('/multicast/rotate')
        self.post('/identity/rotate')
        self.assertEqual(self.service.get('/api/v1/sessions?live=true')['items'][0]['state'], 'waiting')
        self.assert_by_multicast(fetch)
        self.assertEqual(fetch.summary()['bytes_https'], 0)

    def test_overlap_ends(self):
        old = self.identity()
        self.post('/identity/rotate')
        third = self.fetch('r1', 'image', '--identity', old, name='overlap')
        self.assert_by_multicast(third)
        self.service.sql("UPDATE keys SET overlap_until = now() WHERE state = 'overlap'")
        self.refused(self.fetch('r1', 'image', '--identity', old, name='late'), 6, 'signature-invalid')
        both = f'{old};{self.identity()}'
        self.assert_by_multicast(self.fetch('r1', 'image', '--identity', both, name='told'))

    def test_revoked_identity(self):
        old = self.identity()
        revoked = self.post('/identity/revoke', {'reason': 'stolen'})['revoked']
        self.assertEqual((revoked['state'], revoked['fingerprint']), ('revoked', old))
        late = self.fetch('r1', 'image', '--identity', old, name='late')
        self.refused(late, 6, 'signature-invalid')
        self.assertIn(self.identity(), late.text())
        self.assert_by_multicast(self.fetch('r1', 'image', name='open'))

    def test_revoked_multicast_key(self):
        first = self.fetch('r1', 'image', name='first')
        self.in_the_middle(first)
        old = self.service.get(KEYS + '/multicast')['active']['fingerprint']
        self.post('/multicast/revoke', {'reason': 'leaked'})
        self.assert_by_multicast(first)
        signed = lambda: self.service.sql(f"SELECT count(*) FROM versions WHERE manifest_key = '{old}'")
        wait_until(lambda: signed() == '0', 30, 'the manifest is signed anew')
        self.assert_by_multicast(self.fetch('r2', 'image', name='second'))

    # ---- the master key ----

    @property
    def master(self):
        return os.path.join(self.service.state, 'master.key')

    def replace_master(self):
        with open(self.master, 'wb') as f:
            os.fchmod(f.fileno(), 0o600)
            f.write(random.Random().randbytes(32))

    def test_another_master_key(self):
        """It was lost: the service says so, makes new keys, cancels what waits and goes on."""
        event = self.last_event()
        old = self.identity()
        self.service.settings(gathering_delay_ms=60000)
        self.addCleanup(lambda: self.service.settings(gathering_delay_ms=500))
        waiting = self.fetch('r1', 'image', name='waiting')
        wait_until(lambda: self.service.get('/api/v1/sessions?live=true')['items'], 30, 'a session waits')
        session = self.service.get('/api/v1/sessions?live=true')['items'][0]['id']
        self.service.stop()
        self.replace_master()
        self.service.start()
        self.service.settings(gathering_delay_ms=500)
        kinds = self.kinds_since(event)
        for kind in ('master-key-foreign', 'identity-key-replaced', 'multicast-key-replaced', 'session-cancelled'):
            self.assertIn(kind, kinds)
        ended = self.service.get(f'/api/v1/sessions/{session}')
        self.assertEqual((ended['state'], ended['end']['code']), ('cancelled', UNUSABLE))
        self.assertNotEqual(self.identity(), old)
        self.assert_fetched(waiting, self.files)  # it was told to leave, and goes by HTTPS
        self.assert_by_multicast(self.fetch('r2', 'image', name='after'))

    def test_another_master_key_during_a_session(self):
        fetch = self.fetch('r1', 'image', name='during')
        self.in_the_middle(fetch)
        self.service.stop(signal.SIGKILL)
        self.replace_master()
        self.service.start()
        self.assert_fetched(fetch, self.files)
        self.assert_by_multicast(self.fetch('r2', 'image', name='after'))

    def test_right_master_key_comes_back(self):
        self.service.settings(key_repair=False)
        old = self.identity()
        self.service.stop()
        os.rename(self.master, self.master + '.kept')
        self.replace_master()
        self.service.start()
        self.assertEqual(self.service.get(KEYS + '/master')['health'], 'broken')
        self.refused(self.fetch('r1', 'image', name='foreign'), 6, UNUSABLE)
        self.service.stop()
        os.rename(self.master + '.kept', self.master)
        self.service.start()
        self.assertEqual(self.service.get(KEYS + '/master')['health'], 'ok')
        self.assertEqual(self.identity(), old)
        self.assert_by_multicast(self.fetch('r1', 'image', '--identity', old, name='back'))

    def test_right_master_key_comes_back_too_late(self):
        """Repaired meanwhile: who knows the first identity goes on."""
        old = self.identity()
        self.service.stop()
        os.rename(self.master, self.master + '.kept')
        self.replace_master()
        self.service.start()
        self.assertNotEqual(self.identity(), old)
        self.refused(self.fetch('r1', 'image', '--identity', old, name='foreign'), 6, 'signature-invalid')
        self.service.stop()
        os.rename(self.master + '.kept', self.master)
        self.service.start()
        self.assert_by_multicast(self.fetch('r1', 'image', '--identity', old, name='back'))

    def without_master(self):
        self.service.stop()
        os.rename(self.master, self.master + '.kept')
        self.service.start()
        shown = self.service.get(KEYS + '/master')
        self.assertEqual(shown['health'], 'broken')
        self.assertIn('--new-master-key', shown['summary'])
        self.assertFalse(os.path.exists(self.master))

    def test_master_key_is_away(self):
        """A start without its volume is the end of nothing, however repair is set."""
        for repair in True, False:
            with self.subTest(repair=repair):
                self.service.settings(key_repair=repair)
                event, old = self.last_event(), self.identity()
                self.without_master()
                self.assertEqual(self.service.get('/readyz')['status'], 'ready')
                shown = self.service.get(KEYS + '/identity')
                self.assertEqual((shown['health'], shown['active']['fingerprint']), ('broken', old))
                self.refused(self.fetch('r1', 'image', name=f'away{repair}'), 6, UNUSABLE)
                self.ignore_problem('POST', KEYS + '/identity/rotate')
                os.rename(self.master + '.kept', self.master)
                self.assert_by_multicast(self.fetch('r1', 'image', '--identity', old, name=f'back{repair}'))
                self.assertEqual(self.service.get(KEYS + '/master')['health'], 'ok')
                kinds = self.kinds_since(event)
                self.assertIn('master-key-lost', kinds)
                self.assertFalse({'identity-key-replaced', 'identity-key-rotated', 'master-key-foreign'} & set(kinds))

    def new_master(self):
        words = [os.environ['CASTPOINTD'], '--state-dir', self.service.state, '--new-master-key']
        p = self.lab.popen('srv', words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        return p.communicate(timeout=60)[0], p.returncode

    def test_master_key_is_lost_for_good(self):
        out, status = self.new_master()
        self.assertNotEqual(status, 0)
        self.assertIn('There is a master key', out)
        event, old = self.last_event(), self.identity()
        self.without_master()
        out, status = self.new_master()
        self.assertEqual(status, 0, out)
        self.post('/identity/check')
        self.assertEqual(self.service.get(KEYS + '/master')['health'], 'ok')
        self.assertNotEqual(self.identity(), old)
        self.assertIn('master-key-foreign', self.kinds_since(event))
        self.assert_by_multicast(self.fetch('r1', 'image', name='anew'))

    def rotate_master(self, new):
        words = [os.environ['CASTPOINTD'], '--state-dir', self.service.state, '--database', self.service.service_database,
                 '--public-url', self.service.url, '--rotate-master-key', new]
        return self.lab.popen('srv', words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def test_master_key_changes_by_command(self):
        old, new = self.identity(), os.path.join(self.folder, 'new.key')
        self.addCleanup(lambda: os.path.exists(new) and os.unlink(new))
        running = self.rotate_master(new)
        self.assertIn('stop it first', running.communicate(timeout=60)[0])
        self.assertNotEqual(running.returncode, 0)
        self.service.stop()
        done = self.rotate_master(new)
        out = done.communicate(timeout=60)[0]
        self.assertEqual(done.returncode, 0, out)
        self.assertIn('secrets are sealed', out)
        self.assertEqual(read_bytes(new), read_bytes(self.master))
        self.service.start()
        self.assertEqual(self.identity(), old)
        self.assert_by_multicast(self.fetch('r1', 'image', '--identity', old))

    def held(self, sql):
        """A session of the database that has done this, or waits to, until it is closed."""
        p = subprocess.Popen(['psql', '-qAtX', self.service.database], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.addCleanup(p.communicate)
        p.stdin.write(f'BEGIN;\n{sql};\n')
        p.stdin.flush()
        return p

    def wait_for_lock(self, kind):
        sql = f"SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND wait_event = '{kind}'"
        wait_until(lambda: self.service.sql(sql) == '1', 30, f'somebody waits for a lock ({kind})')

    def pause_change(self):
        """The transaction of a change waits in its middle while lock 1 is taken, in its COMMIT while lock 2 is."""
        self.addCleanup(self.service.sql, 'DROP FUNCTION pause CASCADE')
        self.service.sql('CREATE FUNCTION pause() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN'
                         ' PERFORM pg_advisory_xact_lock_shared(TG_ARGV[0]::bigint); RETURN NEW; END $$;'
                         ' CREATE TRIGGER pause BEFORE UPDATE ON master_keys FOR EACH ROW EXECUTE FUNCTION pause(1);'
                         ' CREATE CONSTRAINT TRIGGER pause_commit AFTER UPDATE ON master_keys DEFERRABLE INITIALLY DEFERRED'
                         ' FOR EACH ROW EXECUTE FUNCTION pause(2)')

    def change_state(self):
        """-> the key that the database knows, what the file holds, which files lie beside it"""
        return (self.service.sql('SELECT fingerprint FROM master_keys'), read_bytes(self.master),
                [suffix for suffix in ('.next', '.old') if os.path.exists(self.master + suffix)])

    def kill_change(self, point, new):
        """Where: 1 in the middle of the transaction, 2 in its COMMIT, which happens, 3 when the new file is in its place."""
        gate = self.held(f'SELECT pg_advisory_lock({min(point, 2)})')
        taken = f"SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted AND (classid, objid, objsubid) = (0, {min(point, 2)}, 1)"
        wait_until(lambda: self.service.sql(taken) == '1', 30, 'it is taken')
        p = self.rotate_master(new)
        self.wait_for_lock('advisory')
        table = None
        if point == 3:  # queues behind the change, and has the table before that looks at it again
            table = self.held('LOCK TABLE master_keys IN EXCLUSIVE MODE')
            self.wait_for_lock('relation')
            gate.communicate()
            wait_until(lambda: not os.path.exists(self.master + '.next'), 30, 'the new file is in its place')
        p.kill()
        p.communicate()
        for session in filter(None, (gate, table)):
            session.communicate()
        others = 'SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()'
        wait_until(lambda: self.service.sql(others) == '0', 30, 'its transaction has ended')

    def test_master_key_change_is_killed(self):
        """At each of its three points that is different from before and after it."""
        old, event = self.identity(), self.last_event()
        self.pause_change()
        for point, beside in (1, ['.next']), (2, ['.next']), (3, ['.old']):
            with self.subTest(point=point):
                new = os.path.join(self.folder, f'new{point}.key')
                self.service.stop()
                stored, key, _ = self.change_state()
                self.kill_change(point, new)
                after = self.change_state()
                self.assertEqual((after[0] != stored, after[1] != key, after[2]), (point > 1, point > 2, beside))
                self.service.start()
                self.assertEqual(self.identity(), old)
                self.assertEqual(self.change_state(), (after[0], read_bytes(new) if point > 1 else key, []))
        self.assert_nothing_was_lost(event, old)

    def test_master_key_change_is_killed_at_any_time(self):
        old, event = self.identity(), self.last_event()
        inside = 0
        for i in range(8):
            self.service.stop()
            p = self.rotate_master(os.path.join(self.folder, f'any{i}.key'))
            while not os.path.exists(self.master + '.next') and p.poll() is None:
                pass  # the change takes milliseconds
            time.sleep(0.001 * i)  # a random point behind its first step
            p.kill()
            p.communicate()
            inside += self.change_state()[2] != []
            self.service.start()
            self.assertEqual(self.identity(), old)
        print(f'{inside} of 8 kills in the middle of a change', flush=True)
        self.assertGreaterEqual(inside, 1)
        self.assert_nothing_was_lost(event, old)

    def assert_nothing_was_lost(self, event, identity):
        kinds = self.kinds_since(event)
        self.assertNotIn('identity-key-replaced', kinds)
        self.assertNotIn('master-key-foreign', kinds)
        self.assert_by_multicast(self.fetch('r1', 'image', '--identity', identity))

    def test_master_key_changes_during_a_session(self):
        old = self.identity()
        first = self.fetch('r1', 'image', name='first')
        self.in_the_middle(first)
        self.service.await_task(self.post('/master/rotate')['id'])
        late = self.fetch('r2', 'image', '--identity', old, name='late')
        self.assert_by_multicast(first)
        self.assert_fetched(late, self.files)
        self.service.stop()
        self.service.start()
        self.assertEqual(self.identity(), old)
        self.assertFalse(os.path.exists(self.master + '.old'))


if __name__ == '__main__':
    unittest.main()
