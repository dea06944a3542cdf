"""The tools that are compared: how each one's receiver and sender are called, and when a receiver is done.

All come from Debian but castpoint, whose sender and receiver path mc_bench runs as castpointd and castget do:
encrypting, authenticating and verifying chunk digests, with no rate given. The others' settings are the fastest we
know: large socket buffers, no name look-ups, uftp with the rate that was searched for each case."""
import os
import shlex
import subprocess

from lab import BUFFER

NGINX = '''user root; daemon off; worker_processes {workers}; pid {folder}/pid; error_log {folder}/errors;
events {{ worker_connections 512; }}
http {{ access_log off; sendfile on; client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2;
 fastcgi_temp_path {folder}/t3; uwsgi_temp_path {folder}/t4; scgi_temp_path {folder}/t5;
 server {{ listen {server}:{port} ssl reuseport; ssl_certificate {folder}/cert.pem; ssl_certificate_key {folder}/key.pem;
  ssl_protocols TLSv1.3; root {root}; }} }}
'''


class Tool:
    packages = ()       # of Debian
    programs = ()       # that must be there
    multicast = True    # receivers first; the others: the server first, and it stays
    receivers_stay = False
    marker = None       # a receiver's words for "I have everything"
    note = ''           # for the table

    def receiver(self, job, i, folder):
        """The command of receiver i, which writes <folder>/out."""
        raise NotImplementedError

    def sender(self, job, folder):
        raise NotImplementedError


class Castpoint(Tool):
    name = 'castpoint'
    marker = rb'recv code=ok[^\n]*\n'

    def __init__(self, program, mac=None, more_send='', more_recv=''):
        self.program = program
        both = ['--mac', mac] if mac else []
        self.more_send, self.more_recv = both + shlex.split(more_send), both + shlex.split(more_recv)
        self.note = ' '.join(shlex.split(more_send))

    def receiver(self, job, i, folder):
        return [self.program, 'recv', '--out', f'{folder}/out', '--size', str(job.content.size), '--node', str(i),
                '--digests', job.content.digests, '--secret', job.content.secret, *self.more_recv]

    def sender(self, job, folder):
        return [self.program, 'send', '--file', job.content.path, '--nodes', str(job.receivers),
                '--secret', job.content.secret, *self.more_send]


class Udpcast(Tool):
    name, packages, programs = 'udpcast', ('udpcast',), ('udp-sender', 'udp-receiver')
    marker = rb'Transfer complete'  # it waits half a second longer before it exits

    def receiver(self, job, i, folder):
        return ['udp-receiver', '--nokbd', '--no-progress', '--interface', 'eth0', '--rcvbuf', str(BUFFER),
                '--file', f'{folder}/out']

    def sender(self, job, folder):
        return ['udp-sender', '--nokbd', '--no-progress', '--interface', 'eth0', '--rexmit-hello-interval', '500',
                '--min-receivers', str(job.receivers), '--file', job.content.path]


class Uftp(Tool):
    name, packages, programs = 'uftp', ('uftp',), ('uftp', 'uftpd')
    receivers_stay = True
    marker = rb'RESULT;[^\n]*;copied'
    rate_kbps = -1  # as fast as the interface takes it
    keys, cipher = (), ()

    def receiver(self, job, i, folder):
        return ['uftpd', '-d', '-q', '-F', '@LOG', '-I', 'eth0', '-D', folder, '-U', f'0x{i:08x}', '-B', str(BUFFER), *self.keys]

    def sender(self, job, folder):
        members = ','.join(f'0x{i:08x}' for i in range(1, job.receivers + 1))
        return ['uftp', '-I', 'eth0', '-B', '4194304', '-R', str(self.rate_kbps), '-D', 'out', '-H', members,
                *self.cipher, job.content.path]


class UftpGcm(Uftp):
    name = 'uftp-gcm'
    keys = ('-K', 'ec:prime256v1')
    cipher = ('-Y', 'aes256-gcm', '-h', 'sha256', '-e', 'ecdh_ecdsa', '-K', 'prime256v1')


class Https(Tool):
    name, packages, programs = 'https', ('nginx-light', 'curl', 'openssl'), ('nginx', 'curl', 'openssl')
    multicast = False

    def __init__(self, server):
        self.server = server

    def receiver(self, job, i, folder):
        return ['curl', '-sSfk', '--tlsv1.3', '-o', f'{folder}/out',
                f'https://{self.server}/{os.path.basename(job.content.path)}']

    def sender(self, job, folder):
        with open(f'{folder}/nginx.conf', 'w', encoding='ascii') as f:
            f.write(NGINX.format(folder=folder, server=self.server, port=443, root=os.path.dirname(job.content.path),
                                 workers=os.cpu_count()))
        subprocess.run(['openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes',
                        '-keyout', f'{folder}/key.pem', '-out', f'{folder}/cert.pem', '-days', '2', '-subj', '/CN=srv'],
                       check=True, capture_output=True)
        return ['nginx', '-p', folder, '-c', f'{folder}/nginx.conf']


NAMES = ('castpoint', 'udpcast', 'uftp', 'uftp-gcm', 'https')
PEERS = {'udpcast': Udpcast, 'uftp': Uftp, 'uftp-gcm': UftpGcm, 'https': Https}


def make(names, lab, args):
    """The tools of these names, in this order."""
    made = {'castpoint': lambda: Castpoint(args.mc_bench, args.mac, args.castpoint_send, args.castpoint_recv),
            'https': lambda: Https(lab.server)}
    return [made.get(name, PEERS.get(name))() for name in names]
