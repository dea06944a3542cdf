"""castpointd that cannot start says what is wrong and what to do. No namespaces needed."""
import os
import subprocess
import unittest

import loopback
from castlab import read_text, wait_until


class Start(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.first = cls.service('first')
        cls.first.password()

    @classmethod
    def tearDownClass(cls):
        cls.first.close()

    @classmethod
    def service(cls, name, *words):
        return loopback.Service(os.environ['CASTPOINT_TEST_DB'], extra=['--name', name, *words])

    def refused(self, service, status, *words):
        """It ends by itself; the last line of its log says why."""
        self.addCleanup(service.close)
        self.assertEqual(service.process.wait(60), status, read_text(service.log)[-2000:])
        for word in words:
            self.assertIn(word, read_text(service.log).splitlines()[-1])

    def test_a_port_that_is_taken(self):
        second = self.service('second', '--listen', f'127.0.0.1:{self.first.port}')
        self.refused(second, 5, 'listen-failed', f'127.0.0.1 port {self.first.port}', 'ss -ltnp', '--listen')

    def test_a_name_that_is_taken(self):
        second = self.service('first')
        wait_until(lambda: 'name-taken' in read_text(second.log), 8, 'it says what it waits for')
        self.assertIsNone(second.process.poll(), 'the other one may just be ending')
        self.refused(second, 5, 'already-running', "under the name 'first'", '--state-dir')

    def test_a_master_key_that_others_may_read(self):
        service = self.service('readable')
        wait_until(service.ready, 60, 'it is ready')
        service.process.terminate()
        self.assertEqual(service.process.wait(60), 0)
        key = os.path.join(service.state, 'master.key')
        os.chmod(key, 0o644)
        service.start()
        self.refused(service, 6, 'master-key-unusable', key, 'chmod 600')
        os.chmod(key, 0o600)
        service.start()
        wait_until(service.ready, 60, 'it is ready')

    def test_a_role_that_can_change_the_audit_log(self):
        """One role for everything serves, and is told of; the two of docs/install.md are not."""
        self.assertEqual(self.first.send('GET', '/readyz')[2]['audit_log'], 'changeable')
        line = next(line for line in read_text(self.first.log).splitlines() if 'audit-log-changeable' in line)
        for word in ('warn', 'role="castpoint"', '--database', '--migrate-database', 'docs/install.md'):
            self.assertIn(word, line)
        two = loopback.Service(os.environ['CASTPOINT_TEST_SERVICE_DB'], os.environ['CASTPOINT_TEST_DB'], ['--name', 'two-roles'])
        self.addCleanup(two.close)
        wait_until(two.ready, 60, 'it is ready')
        self.assertEqual(two.send('GET', '/readyz')[2], {'status': 'ready', 'library': 'own', 'audit_log': 'append-only'})
        self.assertNotIn('audit-log-changeable', read_text(two.log))

    def test_a_port_for_content_without_tls_that_is_taken(self):
        second = self.service('third', '--listen-http', f'127.0.0.1:{self.first.port}')
        self.refused(second, 5, 'listen-failed', '--listen-http')


if __name__ == '__main__':
    unittest.main()
