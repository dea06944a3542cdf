"""kill -9 of castpointd, over and over, during uploads, seals and deletes: nothing is torn, lost or left over.

CASTPOINT_KILL_LOOPS says how often (15)."""
import base64
import collections
import http.client
import os
import random
import signal
import threading
import time
import unittest

from castlab import Case, Problem, random_bytes, sha256, wait_until

LOOPS = int(os.environ.get('CASTPOINT_KILL_LOOPS', '15'))
SIZES = (1, 2, 4095, 1 << 16, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, 3 << 20)
API = '/api/v1/packages'
BROKEN = (OSError, http.client.HTTPException)


def content(seed):
    """The bytes of a file are known by its name."""
    return random_bytes(SIZES[seed % len(SIZES)], seed)


class Calls:
    """Counts the workers' calls, so that a slow machine is killed in the middle of work too."""

    def __init__(self):
        self.count, self.changed = 0, threading.Condition()

    def begin(self):
        with self.changed:
            self.count += 1
            self.changed.notify_all()

    def wait_for(self, more, seconds):
        with self.changed:
            wanted = self.count + more
            self.changed.wait_for(lambda: self.count >= wanted, seconds)


class Worker(threading.Thread):
    """Makes, seals and deletes versions of one package; remembers what it was told."""

    def __init__(self, service, number, up, stop, calls):
        super().__init__()
        self.service, self.package, self.up, self.stop, self.calls = service, f'kill-{number}', up, stop, calls
        self.random = random.Random(number)
        self.doing, self.cut = None, collections.Counter()  # what was under way when the service was killed
        self.told = {}  # version -> {'files': {path}, 'state': 'draft' | 'sealed' | 'deleted'}
        self.asked_to_delete, self.wrong, self.did = set(), [], 0
        self.start()

    def run(self):
        while not self.stop.is_set():
            self.up.wait()
            try:
                self.work()
            except BROKEN:
                self.cut[self.doing] += 1
                time.sleep(0.01)  # it was killed under us
            except Problem as e:
                if e.status != 503:
                    self.wrong.append(f'{self.package}: {e}')
                    return
            except Exception as e:  # told to the test's thread
                self.wrong.append(f'{self.package}: {e!r}')
                return

    def api(self, *words, **named):
        self.calls.begin()
        return self.service.api(*words, **named)

    def work(self):
        self.doing = 'create'
        version = self.api('POST', f'{API}/{self.package}/versions', {})[2]['version']
        told = self.told[version] = {'files': set(), 'state': 'draft'}
        for _ in range(self.random.randint(1, 3)):
            # Most content goes with its version; some of it is shared.
            seed = self.random.randrange(40 if self.random.random() < 0.3 else 1 << 20)
            self.upload(version, seed)
            told['files'].add(f'f{seed}')
        if self.random.random() < 0.7:
            self.doing = 'seal'
            task = self.api('POST', f'{API}/{self.package}/versions/{version}/seal')[2]['id']
            while not self.api('GET', f'/api/v1/tasks/{task}')[2]['ended_at']:
                time.sleep(0.02)
            told['state'] = 'sealed'
        if self.random.random() < 0.4:
            victim = self.random.choice(list(self.told))
            self.delete(victim)
        self.did += 1

    def upload(self, version, seed):
        self.doing = 'upload'
        path, data = f'{API}/{self.package}/versions/{version}', content(seed)
        if self.random.random() < 0.5:
            self.api('PUT', f'{path}/files/f{seed}', data)
            return
        tus = {'Tus-Resumable': '1.0.0'}
        name = 'path ' + base64.b64encode(f'f{seed}'.encode()).decode()
        made = self.api('POST', f'{path}/uploads', b'', headers={**tus, 'Upload-Length': str(len(data)), 'Upload-Metadata': name})
        at = made[1]['Location']
        offset = 0
        while offset < len(data):
            piece = data[offset:offset + (1 << 19)]
            rs = self.api('PATCH', at, piece, headers={**tus, 'Upload-Offset': str(offset), 'Content-Type': 'application/offset+octet-stream'})
            offset = int(rs[1]['Upload-Offset'])

    def delete(self, version):
        if self.told[version]['state'] == 'deleted':
            return
        path = f'{API}/{self.package}/versions/{version}'
        self.asked_to_delete.add(version)
        self.doing = 'delete'
        try:
            _, headers, shown = self.api('GET', path)
            if shown['state'] == 'sealed':
                _, headers, _ = self.api('POST', path + '/retire')
            etag = headers['ETag']
            self.api('DELETE', path, headers={'If-Match': etag})
        except Problem as e:
            if e.status != 404:  # deleted by a request whose answer was lost
                raise
        self.told[version]['state'] = 'deleted'


class Kill(Case):
    receivers = 1

    def test_killed_over_and_over(self):
        self.service.settings(library_grace_hours=0, library_reserve_bytes=0, requests_per_minute=0)
        up, stop, calls = threading.Event(), threading.Event(), Calls()
        up.set()
        workers = []
        for number in range(4):
            self.service.api('POST', API, {'name': f'kill-{number}', 'content_access': 'anonymous'})
            workers.append(Worker(self.service, number, up, stop, calls))
        chance = random.Random(50)
        for _ in range(LOOPS):
            calls.wait_for(chance.randint(1, 60), 10)
            time.sleep(chance.uniform(0, 0.02))  # any moment of a call is the right one
            up.clear()
            self.service.stop(signal.SIGKILL)
            self.service.start()
            up.set()
        stop.set()
        for w in workers:
            w.join(60)
        self.assertEqual([sentence for w in workers for sentence in w.wrong], [])
        self.assertGreater(sum(w.did for w in workers), LOOPS / 2, 'the workers got something done')
        cut = sum((w.cut for w in workers), collections.Counter())
        print('killed under', dict(cut))
        if LOOPS >= 50:
            self.assertTrue(all(cut[what] for what in ('upload', 'seal', 'delete')), cut)
        wait_until(self.nothing_under_way, 60, 'what was begun has ended')
        for w in workers:
            self.check_versions(w)
        self.check_library()

    def nothing_under_way(self):
        return not any(self.service.get(f'/api/v1/tasks?state={s}')['items'] for s in ('running', 'waiting'))

    def items(self, path):
        """All pages of a list."""
        found, page = [], self.service.get(path)
        while True:
            found += page['items']
            if not page['next']:
                return found
            page = self.service.get(path + '?after=' + page['next'])

    def check_versions(self, worker):
        path = f'{API}/{worker.package}/versions'
        present = {v['version']: v for v in self.items(path)}
        for version, told in worker.told.items():
            if told['state'] == 'deleted':
                self.assertNotIn(version, present, 'it was said to be deleted')
            elif version not in worker.asked_to_delete:
                self.assertIn(version, present, 'nobody deleted it')
                if told['state'] == 'sealed':
                    self.assertEqual(present[version]['state'], 'sealed')
        for version, shown in present.items():
            files = {f['path']: f for f in self.service.get(f'{path}/{version}/files')['items']}
            self.assertLessEqual(worker.told.get(version, {'files': set()})['files'], set(files), 'an acknowledged file is gone')
            for name, shown_file in files.items():
                self.assertEqual(shown_file['sha256'], sha256(content(int(name[1:]))))
            if shown['state'] == 'retired':
                self.assertIn(version, worker.asked_to_delete, 'nobody retired it')
                continue
            if shown['state'] == 'draft':
                self.assertEqual(self.refused(f'{path}/{version}/manifest'), 'version-not-sealed')
                if files:
                    self.service.seal(worker.package, version)
            if files:
                self.check_sealed(worker.package, version, files)

    def refused(self, path):
        with self.assertRaises(Problem) as e:
            self.service.get(path)
        return e.exception.code

    def check_sealed(self, package, version, files):
        """castget verifies the manifest's signature, every chunk and every file; the bytes are those that were sent."""
        self.assertEqual(self.service.get(f'{API}/{package}/versions/{version}')['state'], 'sealed')
        fetch = self.fetch('r1', f'{package}@{version}', '--no-multicast', name=f'{package}-{version}')
        self.assert_fetched(fetch, {name: content(int(name[1:])) for name in files})

    def stored(self):
        """Every blob in the store, read back. -> digests"""
        found = set()
        root = os.path.join(self.service.state, 'content', 'sha256')
        for folder, _, names in os.walk(root):
            for name in names:
                with open(os.path.join(folder, name), 'rb') as f:
                    self.assertEqual(sha256(f.read()), name)
                found.add(name)
        return found

    def referenced(self):
        """-> digests that files have"""
        return set(self.service.sql('SELECT DISTINCT sha256 FROM files').split())

    def collect(self):
        """-> files that it removed"""
        task = self.service.api('POST', '/api/v1/distribution-points/local/library/collect')[2]['id']
        self.service.await_task(task)
        result = self.service.get(f'/api/v1/tasks/{task}')['result']
        return result['blobs'] + result['stray_files']

    def check_library(self):
        """No blob is missing; garbage collection finds exactly what nobody refers to."""
        self.assertLessEqual(self.referenced(), self.stored())
        drift = self.service.sql('SELECT count(*) FROM blobs b WHERE reference_count <> (SELECT count(*) FROM files f WHERE f.sha256 = b.sha256)')
        self.assertEqual(drift, '0')
        # An upload into a draft that was killed between its blob and its file's row goes on from the blob.
        half = set(self.service.sql('SELECT DISTINCT u.digest FROM uploads u JOIN versions v ON v.id = u.version_id '
                                    "WHERE v.state = 'draft' AND u.digest IS NOT NULL AND u.finished_at IS NULL").split())
        before = self.stored()
        self.assertGreater(len(before - self.referenced() - half), LOOPS / 5, 'there is garbage to find')
        removed = self.collect()
        stored = self.stored()
        self.assertEqual(stored, self.referenced() | (half & before))
        self.assertEqual(removed, len(before - stored))
        self.finish_uploads()
        self.expire_uploads()
        self.collect()
        self.assertEqual(self.stored(), self.referenced())
        self.assertEqual(set(self.service.sql('SELECT sha256 FROM blobs').split()), self.referenced())
        incoming, partial = (os.path.join(self.service.state, 'content', name) for name in ('incoming', 'partial'))
        self.assertEqual(os.listdir(incoming), [])
        under_way = {u['id'] for u in self.items('/api/v1/uploads')}
        self.assertLessEqual(set(os.listdir(partial)), under_way)

    def finish_uploads(self):
        """Whoever asks how far an upload is finishes one that has all its bytes, unless its version is no draft any more."""
        for upload in self.items('/api/v1/uploads'):
            path = f"{API}/{upload['package']}/versions/{upload['version']}"
            if upload['state'] == 'received' and self.service.get(path)['state'] == 'draft':
                self.service.api('HEAD', f"/api/v1/uploads/{upload['id']}", headers={'Tus-Resumable': '1.0.0'})
                files = {f['path']: f['sha256'] for f in self.service.get(f'{path}/files')['items']}
                self.assertEqual(files[upload['path']], upload['sha256'])

    def expire_uploads(self):
        """What is left of uploads whose draft was deleted or sealed goes with the hourly task: it is made due."""
        self.service.sql("DELETE FROM tasks WHERE kind = 'expire-uploads'")
        self.service.stop()
        self.service.start()
        wait_until(lambda: self.service.sql("SELECT state FROM tasks WHERE kind = 'expire-uploads'") == 'done', 60, 'expired uploads are gone')


if __name__ == '__main__':
    unittest.main()
