"""Uploads into a real service: killed and broken in the middle, many at once, larger than 4 GiB, by curl and by tus."""
import base64
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import threading
import unittest

from castlab import CHUNK, SERVER, Case, Problem, random_bytes, read_text, sha256, wait_until

API = '/api/v1/packages/up'
FILES = API + '/versions/1/files'
UPLOADS = API + '/versions/1/uploads'
TUS = {'Tus-Resumable': '1.0.0'}
PIECE = {**TUS, 'Content-Type': 'application/offset+octet-stream'}
GIB = 1 << 30


class Uploads(Case):
    """What the tests share."""
    receivers = 1

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.lab.call('offload', 'on')
        cls.service.settings(library_reserve_bytes=0)
        cls.service.api('POST', '/api/v1/packages', {'name': 'up'})
        cls.service.api('POST', API + '/versions', {})

    def begin(self, path, size, **metadata):
        pairs = ','.join(f'{k} {base64.b64encode(v.encode()).decode()}' for k, v in {'path': path, **metadata}.items())
        made = self.service.api('POST', UPLOADS, b'', headers={**TUS, 'Upload-Length': str(size), 'Upload-Metadata': pairs})
        return made[1]['Location']

    def offset(self, upload):
        return int(self.service.api('HEAD', upload, headers=TUS)[1]['Upload-Offset'])

    def go_on(self, upload, data):
        """The rest of the data, from where the service says; again while an earlier request still holds the upload."""
        def sent():
            at = self.offset(upload)
            try:
                return self.service.api('PATCH', upload, data[at:], headers={**PIECE, 'Upload-Offset': str(at)})
            except Problem as e:
                if e.status not in (409, 423):
                    raise
        return wait_until(sent, 30, 'the upload is free')

    def opened(self, method, path, size, **headers):
        """A connection with a request whose body is yet to come."""
        context = ssl.create_default_context(cafile=self.service.cert)
        s = context.wrap_socket(socket.create_connection((SERVER, 8443), timeout=60), server_hostname=SERVER)
        self.addCleanup(s.close)
        pair = base64.b64encode(f'admin:{self.service.password}'.encode()).decode()
        lines = {'Host': SERVER, 'Authorization': 'Basic ' + pair, **headers}
        if size is not None:
            lines['Content-Length'] = str(size)
        s.sendall((f'{method} {path} HTTP/1.1\r\n' + ''.join(f'{k}: {v}\r\n' for k, v in lines.items()) + '\r\n').encode())
        return s

    def stored(self, path):
        return self.service.api('GET', f'{FILES}/{path}', raw=True)[2]

    def incoming(self):
        return os.listdir(os.path.join(self.service.state, 'content', 'incoming'))

    def blob(self, digest):
        return os.path.join(self.service.state, 'content', 'sha256', digest[:2], digest)

    def curl(self, *words, **kw):
        pair = f'admin:{self.service.password}'
        p = subprocess.run(['curl', '-sS', '--cacert', self.service.cert, '-u', pair, '-w', '\n%{http_code}', *words],
                           capture_output=True, text=True, timeout=200, **kw)
        body, status = p.stdout.rsplit('\n', 1)
        return int(status), json.loads(body) if body else None, p.stderr


class Upload(Uploads):
    # ---- plain PUT ----

    def test_curl_puts_a_file(self):
        data = random_bytes(3 * CHUNK + 5, 21)
        local = os.path.join(self.folder, 'local.bin')
        with open(local, 'wb') as f:
            f.write(data)
        digest = base64.b64encode(bytes.fromhex(sha256(data))).decode()
        status, body, _ = self.curl('-T', local, self.service.url + FILES + '/curl.bin', '-H', f'Repr-Digest: sha-256=:{digest}:')
        self.assertEqual((status, body['sha256']), (201, sha256(data)))
        with open(local, 'rb') as f:  # from a pipe: chunked
            status, body, _ = self.curl('-T', '-', self.service.url + FILES + '/piped.bin', stdin=f)
        self.assertEqual((status, body['sha256']), (201, sha256(data)))
        wrong = base64.b64encode(bytes(32)).decode()
        status, body, _ = self.curl('-T', local, self.service.url + FILES + '/wrong.bin', '-H', f'Content-Digest: sha-256=:{wrong}:')
        self.assertEqual((status, body['code']), (422, 'digest-mismatch'))
        self.assertEqual(self.incoming(), [])

    def test_a_broken_put_leaves_nothing(self):
        s = self.opened('PUT', FILES + '/broken.bin', 10 * CHUNK)
        s.sendall(bytes([7]) * CHUNK)
        wait_until(self.incoming, 10, 'bytes are coming in')
        s.close()
        wait_until(lambda: not self.incoming(), 10, 'they are thrown away')
        with self.assertRaises(Problem) as e:
            self.stored('broken.bin')
        self.assertEqual(e.exception.status, 404)

    def test_a_post_stands_for_a_patch(self):
        data, post = random_bytes(CHUNK + 9, 30), {**PIECE, 'X-HTTP-Method-Override': 'PATCH'}
        upload = self.begin('posted.bin', len(data))
        for at in (0, CHUNK):
            status, headers, _ = self.service.api('POST', upload, data[at:at + CHUNK], headers={**post, 'Upload-Offset': str(at)})
            self.assertEqual((status, headers['Upload-Offset']), (204, str(min(at + CHUNK, len(data)))))
        headers = self.service.api('POST', upload, headers={**TUS, 'X-HTTP-Method-Override': 'HEAD'})[1]
        self.assertEqual(headers['Upload-Offset'], str(len(data)))
        self.assertEqual(sha256(self.stored('posted.bin')), sha256(data))
        self.assertEqual(self.refused('POST', FILES + '/posted.bin', b'', **{'X-HTTP-Method-Override': 'DELETE'})[:2], (400, 'invalid-request'))

    # ---- refusals ----

    def refused(self, method, path, data, **headers):
        """By a client that sends all before it looks. -> status, code, headers"""
        try:
            self.service.api(method, path, data, headers=headers)
        except Problem as e:
            return e.status, e.code, e.headers
        raise AssertionError(f'{method} {path} is taken')

    def test_a_refusal_reaches_who_sends_at_once(self):
        data, local = random_bytes(CHUNK, 29) * 8, os.path.join(self.folder, 'refused.bin')
        with open(local, 'wb') as f:
            f.write(data)
        upload, sealed = self.begin('offset.bin', 2 * len(data)), '/api/v1/packages/refusing/versions/1/files/a'
        self.service.publish('refusing', {'a': b'a'})
        for _ in range(20):
            status, code, headers = self.refused('PATCH', upload, data, **PIECE, **{'Upload-Offset': '5'})
            self.assertEqual((status, code, headers['Upload-Offset']), (409, 'upload-offset-mismatch', '0'))
            self.assertEqual(self.refused('PUT', sealed, data)[:2], (409, 'version-sealed'))
            status, body, error = self.curl('-H', 'Expect:', '-T', local, self.service.url + sealed)
            self.assertEqual((status, body and body['code']), (409, 'version-sealed'), error)
        self.service.settings(library_quota_bytes=20 * CHUNK)
        try:
            for _ in range(20):
                self.assertEqual(self.refused('PUT', FILES + '/over.bin', data)[:2], (507, 'storage-full'))
                with open(local, 'rb') as f:  # chunked: more than fits becomes known on the way
                    status, body, error = self.curl('-H', 'Expect:', '-T', '-', f'{self.service.url}{FILES}/over.bin', stdin=f)
                self.assertEqual((status, body and body['code']), (507, 'storage-full'), error)
        finally:
            self.service.settings(library_quota_bytes=None)
            self.service.api('DELETE', upload, headers=TUS)

    # ---- breaks ----

    def test_a_broken_connection_keeps_what_came(self):
        data = random_bytes(5 * CHUNK, 22)
        upload = self.begin('cut.bin', len(data))
        s = self.opened('PATCH', upload, len(data), **PIECE, **{'Upload-Offset': '0'})
        s.sendall(data[:2 * CHUNK])
        s.close()
        wait_until(lambda: self.offset(upload) == 2 * CHUNK, 20, 'what came is durable')
        self.go_on(upload, data)
        self.assertEqual(sha256(self.stored('cut.bin')), sha256(data))

    def test_killed_while_a_piece_comes(self):
        data = random_bytes(6 * CHUNK, 23)
        upload = self.begin('killed.bin', len(data), sha256=sha256(data))
        for kept in range(4):  # so many pieces have ended; the next one is cut by a kill
            s = self.opened('PATCH', upload, CHUNK, **PIECE, **{'Upload-Offset': str(kept * CHUNK)})
            s.sendall(data[kept * CHUNK:kept * CHUNK + CHUNK // 2])
            name = os.path.join(self.service.state, 'content', 'partial', upload.rsplit('/', 1)[1])
            wait_until(lambda: os.path.exists(name) and os.path.getsize(name) > kept * CHUNK, 10, 'bytes arrive')
            self.service.stop(signal.SIGKILL)
            s.close()
            self.service.start()
            self.assertEqual(self.offset(upload), kept * CHUNK)
            self.service.api('PATCH', upload, data[kept * CHUNK:(kept + 1) * CHUNK], headers={**PIECE, 'Upload-Offset': str(kept * CHUNK)})
        self.go_on(upload, data)
        self.assertEqual(sha256(self.stored('killed.bin')), sha256(data))
        self.assertEqual(self.service.get(upload)['state'], 'finished')

    def test_stopped_while_a_piece_comes(self):
        """A service that is stopped in order keeps all that came."""
        data = random_bytes(2 * CHUNK, 27)
        upload = self.begin('stopped.bin', len(data))
        s = self.opened('PATCH', upload, len(data), **PIECE, **{'Upload-Offset': '0'})
        s.sendall(data[:CHUNK])
        name = os.path.join(self.service.state, 'content', 'partial', upload.rsplit('/', 1)[1])
        wait_until(lambda: os.path.exists(name) and os.path.getsize(name) == CHUNK, 10, 'bytes arrive')
        self.assertEqual(self.service.stop(), 0, self.service.tail())
        s.close()
        self.service.start()
        self.assertEqual(self.offset(upload), CHUNK)
        self.go_on(upload, data)
        self.assertEqual(sha256(self.stored('stopped.bin')), sha256(data))

    def test_a_long_piece_is_kept_as_it_comes(self):
        data = random_bytes(CHUNK, 24) * 160
        upload = self.begin('long.bin', len(data))
        s = self.opened('PATCH', upload, len(data), **PIECE, **{'Upload-Offset': '0'})
        s.sendall(data[:140 * CHUNK])
        wait_until(lambda: self.offset(upload) >= 128 * CHUNK, 60, 'two marks are set')
        self.service.stop(signal.SIGKILL)
        s.close()
        self.service.start()
        self.assertGreaterEqual(self.offset(upload), 128 * CHUNK)
        self.go_on(upload, data)
        self.assertEqual(self.service.get(upload)['sha256'], sha256(data))

    # ---- many ----

    def test_the_same_content_at_once_is_one_blob(self):
        data, wrong = random_bytes(2 * CHUNK, 25), []

        def put(number):
            try:
                if number % 2:
                    self.service.api('PUT', f'{FILES}/same/{number}.bin', data)
                else:
                    self.go_on(self.begin(f'same/{number}.bin', len(data)), data)
            except Exception as e:  # told to the test's thread
                wrong.append(e)
        threads = [threading.Thread(target=put, args=(i,)) for i in range(8)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        self.assertEqual(wrong, [])
        rows = self.service.sql(f"SELECT count(*) FROM files WHERE sha256 = '{sha256(data)}'")
        self.assertEqual(rows, '8')
        with open(self.blob(sha256(data)), 'rb') as f:
            self.assertEqual(sha256(f.read()), sha256(data))

    def put_chunked(self, path, data):
        s = self.opened('PUT', path, None, **{'Transfer-Encoding': 'chunked'})
        for at in range(0, len(data), CHUNK // 4):
            piece = data[at:at + CHUNK // 4]
            s.sendall(b'%x\r\n%s\r\n' % (len(piece), piece))
        s.sendall(b'0\r\n\r\n')
        return int(s.recv(4096).split(b' ')[1])

    def put_somehow(self, kind, name, data):
        """A plain, a chunked or a resumable upload. -> status"""
        try:
            if kind == 1:
                return self.put_chunked(f'{FILES}/{name}', data)
            if kind == 2:
                upload = self.begin(name, len(data))
                return self.service.api('PATCH', upload, data, headers={**PIECE, 'Upload-Offset': '0'})[0]
            return self.service.api('PUT', f'{FILES}/{name}', data)[0]
        except Problem as e:
            return e.status

    def test_a_quota_holds_for_many_at_once(self):
        """Of fifteen files of 3 MiB eight fit: never more are taken, whatever comes at the same time, and nothing stays promised."""
        used = int(self.service.sql('SELECT (SELECT coalesce(sum(bytes), 0) FROM library_totals)'
                                    ' + (SELECT coalesce(sum(size), 0) FROM uploads WHERE finished_at IS NULL)'))
        files = [random_bytes(3 * CHUNK, 100 + i) for i in range(15)]
        status = [None] * len(files)

        def put(number):
            status[number] = self.put_somehow(number % 3, f'crowd/{number}.bin', files[number])
        self.service.settings(library_quota_bytes=used + 26 * CHUNK)
        try:
            threads = [threading.Thread(target=put, args=(i,)) for i in range(len(files))]
            for t in threads:
                t.start()
            for t in threads:
                t.join()
            self.assertLessEqual(set(status), {201, 204, 507}, status)
            taken = [i for i in range(len(files)) if status[i] != 507]
            print(f'{len(taken)} of 8 at once', flush=True)
            self.assertTrue(1 <= len(taken) <= 8, status)
            for i in range(len(files)):  # one after the other: what is free is free
                if i not in taken and len(taken) < 8:
                    put(i)
                    self.assertIn(status[i], (201, 204))
                    taken.append(i)
            for i in range(len(files)):
                if i not in taken:
                    put(i)
                    self.assertEqual(status[i], 507)
        finally:
            self.service.settings(library_quota_bytes=None)
        for i in taken:
            self.assertEqual(sha256(self.stored(f'crowd/{i}.bin')), sha256(files[i]))

    def memory(self, line):
        """A line of the service's status, in bytes."""
        return int(re.search(line + r':\s+(\d+) kB', read_text(f'/proc/{self.service.process.pid}/status'))[1]) << 10

    def half_sent(self, kind, number, data):
        """An upload that has sent the half of itself. -> connection"""
        if kind == 'tus':
            upload = self.begin(f'many/{number}.bin', 2 * len(data))
            s = self.opened('PATCH', upload, 2 * len(data), **PIECE, **{'Upload-Offset': '0'})
        else:
            size, chunked = (2 * len(data), {}) if kind == 'put' else (None, {'Transfer-Encoding': 'chunked'})
            s = self.opened('PUT', f'{FILES}/many/{number}.bin', size, **chunked)
        s.sendall(b'%x\r\n%s\r\n' % (len(data), data) if kind == 'chunked' else data)
        return s

    def test_an_upload_costs_little_memory(self):
        """Of each kind, while its bytes come: the most that there ever was counts, not what is left at the end."""
        count, data = 51, random_bytes(3 * CHUNK, 26)
        self.service.api('PUT', FILES + '/warm.bin', data)
        folders = [os.path.join(self.service.state, 'content', name) for name in ('partial', 'incoming')]

        def whole():
            """Files with as many bytes as were sent."""
            return sum(e.stat().st_size == len(data) for folder in folders for e in os.scandir(folder))
        there, before = whole(), self.memory('VmRSS')
        with open(f'/proc/{self.service.process.pid}/clear_refs', 'w') as f:
            f.write('5')  # the peak begins anew
        self.assertLess(self.memory('VmHWM'), before + CHUNK)
        connections = [self.half_sent(('tus', 'put', 'chunked')[i % 3], i, data) for i in range(count)]
        wait_until(lambda: whole() == there + count, 60, 'all bytes are in the files')
        each = (self.memory('VmHWM') - before) // count
        print(f'{each >> 10} KiB of memory for each of {count} uploads', flush=True)
        with open(os.environ['CASTPOINTD'], 'rb') as program:
            sanitized = b'__asan_init' in program.read()  # its own memory of what was freed counts too: no figure
        self.assertLess(each, 300 << 10 if not sanitized else 16 << 20)
        for s in connections:
            s.close()
        wait_until(lambda: not self.incoming(), 30, 'what was plain is thrown away')

    # ---- large ----

    def test_more_than_4_gib(self):
        """6 GiB, nearly all of it zeros: it travels whole, and lies in the store as holes."""
        local = os.path.join(self.folder, 'large.bin')
        marks = {4 * GIB - 1: b'a', 4 * GIB: b'b', 4 * GIB + 1: b'c', 6 * GIB - 1: b'd'}
        with open(local, 'wb') as f:
            for at, byte in marks.items():
                f.seek(at)
                f.write(byte)
        status, body, error = self.curl('-T', local, self.service.url + FILES + '/large.bin')
        self.assertEqual((status, body and body.get('size')), (201, 6 * GIB), error)
        self.assertLess(os.stat(self.blob(body['sha256'])).st_blocks * 512, 64 << 20)
        part = self.service.api('GET', FILES + '/large.bin', headers={'Range': f'bytes={4 * GIB - 2}-{4 * GIB + 2}'}, raw=True)
        self.assertEqual((part[0], part[2]), (206, b'\0abc\0'))
        part = self.service.api('GET', FILES + '/large.bin', headers={'Range': 'bytes=-2'}, raw=True)
        self.assertEqual(part[2], b'\0d')


class SmallDisk(Uploads):
    """A content library on a file system of 48 MiB."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        content = os.path.join(cls.service.state, 'content')
        cls.service.stop()
        subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=48m', 'castpoint-test', content], check=True)
        cls.addClassCleanup(subprocess.run, ['umount', content], check=True)
        cls.addClassCleanup(cls.service.stop)
        cls.service.start()

    def put(self, path, size):
        """A file that does not announce its size. -> status, body"""
        p = subprocess.Popen(['head', '-c', str(size), '/dev/urandom'], stdout=subprocess.PIPE)
        try:
            return self.curl('-T', '-', f'{self.service.url}{FILES}/{path}', stdin=p.stdout)[:2]
        finally:
            p.stdout.close()
            p.wait()

    def free(self):
        st = os.statvfs(os.path.join(self.service.state, 'content'))
        return st.f_bavail * st.f_frsize

    def test_a_full_disk(self):
        with self.assertRaises(Problem) as e:
            self.begin('large.bin', 60 * CHUNK)
        self.assertEqual((e.exception.status, e.exception.code), (507, 'storage-full'))
        self.assertIn(str(60 * CHUNK), e.exception.body['detail'])
        status, body = self.put('large.bin', 50 * CHUNK)  # runs into the end of the disk
        self.assertEqual((status, body['code']), (507, 'storage-full'))
        self.assertEqual(self.incoming(), [])
        self.service.settings(library_reserve_bytes=20 * CHUNK)
        status, body = self.put('large.bin', 40 * CHUNK)  # into the reserve
        self.assertEqual((status, body['code']), (507, 'storage-full'))
        self.assertIn('reserve', body['detail'])
        self.assertEqual(self.incoming(), [])
        self.assertGreater(self.free(), 40 * CHUNK)
        upload = self.begin('first.bin', 20 * CHUNK)
        with self.assertRaises(Problem) as e:  # what the first one will need is not free any more
            self.begin('second.bin', 20 * CHUNK)
        self.assertEqual(e.exception.code, 'storage-full')
        data = random_bytes(20 * CHUNK, 28)
        self.go_on(upload, data)
        self.assertEqual(sha256(self.stored('first.bin')), sha256(data))


if __name__ == '__main__':
    unittest.main()
