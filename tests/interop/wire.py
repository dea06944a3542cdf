"""A decoder of NORM messages of its own (RFC 5740, section 4), for what a capture is to prove. It shares nothing with the
engine's; fec_id 129, and 5 and 2 with m = 8."""
import dataclasses
import socket
import struct

GROUP_BITS = 0xe0
TYPES = {1: 'INFO', 2: 'DATA', 3: 'CMD', 4: 'NACK', 5: 'ACK', 6: 'REPORT'}
COMMANDS = {1: 'FLUSH', 2: 'EOT', 3: 'SQUELCH', 4: 'CC', 5: 'REPAIR_ADV', 6: 'ACK_REQ', 7: 'APPLICATION'}
BASE = {'INFO': 16, 'DATA': 16, 'FLUSH': 16, 'EOT': 16, 'SQUELCH': 16, 'CC': 24, 'REPAIR_ADV': 16, 'ACK_REQ': 16,
        'APPLICATION': 16, 'NACK': 24, 'ACK': 24, 'REPORT': 8}
WITH_ID = ('DATA', 'FLUSH', 'SQUELCH')
REPAIR, EXPLICIT, HAS_INFO = 1, 2, 4  # flags of INFO and DATA
SEGMENT, BLOCK, INFO, OBJECT = 1, 2, 4, 8  # flags of requests
ITEMS, RANGES = 1, 2
ACK_CC, ACK_FLUSH = 1, 2
CC_CLR, CC_RTT, CC_START = 1, 4, 8  # flags of EXT_CC and of a CC's list
EXT_AUTH, EXT_CC, EXT_FTI, EXT_RATE = 1, 3, 64, 128


@dataclasses.dataclass
class Position:
    """Where a symbol stands; sbl is 0 when the fec_id does not tell it."""
    object_id: int
    sbn: int
    sbl: int
    esi: int


@dataclasses.dataclass
class Request:
    """One item or range of a NACK or REPAIR_ADV."""
    form: int
    flags: int
    first: Position
    last: Position


@dataclasses.dataclass
class Message:
    time: float
    source: str
    to_group: bool
    kind: str
    sequence: int
    source_id: int
    extensions: list  # (het, content), in order
    payload: bytes
    instance_id: int = 0
    flags: int = 0
    fec_id: int = 0
    at: Position = None
    server_id: int = 0
    ack_type: int = 0

    @property
    def hets(self):
        return [het for het, _ in self.extensions]

    @property
    def nodes(self):
        return [n for n, in struct.iter_unpack('!I', self.payload)]

    @property
    def invalid_objects(self):
        return [n for n, in struct.iter_unpack('!H', self.payload)]

    @property
    def cc(self):
        """(sequence, flags, rtt, loss, rate) of EXT_CC, None without."""
        for het, content in self.extensions:
            if het == EXT_CC:
                return struct.unpack_from('!HBBHH', content)
        return None

    @property
    def send_rate(self):
        """EXT_RATE of a CC in bytes per second."""
        content = dict(self.extensions)[EXT_RATE]
        return rate(struct.unpack_from('!H', content, 1)[0])

    @property
    def cc_nodes(self):
        """{node id: flags} of a CC's list."""
        return {node: flags for node, flags, _, _ in struct.iter_unpack('!IBBH', self.payload)}

    def requests(self):
        left, found = self.payload, []
        while left:
            form, flags, size = struct.unpack_from('!BBH', left)
            positions, left = items(left[4:4 + size]), left[4 + size:]
            step = 2 if form == RANGES else 1
            assert len(positions) % step == 0, self
            found += [Request(form, flags, positions[i], positions[i + step - 1]) for i in range(0, len(positions), step)]
        return found


def rate(quantised):
    """Bytes per second of 12 bits of mantissa and 4 of exponent."""
    return (quantised >> 4) * 10 / 4096 * 10 ** (quantised & 15)


def payload_id(data, fec_id):
    """(sbn, sbl, esi), size"""
    if fec_id == 129:
        return struct.unpack_from('!IHH', data), 8
    word, = struct.unpack_from('!I', data)
    return (word >> 8, 0, word & 0xff), 4


def items(data):
    found = []
    while data:
        fec_id, _, object_id = struct.unpack_from('!BBH', data)
        ids, size = payload_id(data[4:], fec_id)
        found.append(Position(object_id, *ids))
        data = data[4 + size:]
    return found


def extensions(data):
    found = []
    while data:
        size = 4 if data[0] >= 128 else data[1] * 4
        assert 0 < size <= len(data), data
        found.append((data[0], data[2:size] if data[0] < 128 else data[1:4]))
        data = data[size:]
    return found


def decode(time, source, to_group, data):
    kind = TYPES[data[0] & 0x0f]
    if kind == 'CMD':
        kind = COMMANDS[data[12]]
    sequence, source_id = struct.unpack_from('!HI', data, 2)
    base, end = BASE[kind], data[1] * 4
    m = Message(time, source, to_group, kind, sequence, source_id, [], data[end:])
    if kind in ('NACK', 'ACK'):
        m.server_id, m.instance_id = struct.unpack_from('!IH', data, 8)
        m.ack_type = data[14]
    elif kind != 'REPORT':
        m.instance_id, = struct.unpack_from('!H', data, 8)
    if kind in ('INFO', *WITH_ID):
        m.flags, m.fec_id = data[12], data[13]
        object_id, = struct.unpack_from('!H', data, 14)
        m.at = Position(object_id, 0, 0, 0)
    if kind in WITH_ID:
        ids, size = payload_id(data[16:], m.fec_id)
        m.at, base = Position(object_id, *ids), base + size
    m.extensions = extensions(data[base:end])
    return m


def frames(path):
    with open(path, 'rb') as f:
        f.read(24)
        while header := f.read(16):
            sec, usec, size, _ = struct.unpack('=IIII', header)
            yield sec + usec / 1e6, f.read(size)


def messages(path):
    """All messages of a capture, in order."""
    found = []
    for time, frame in frames(path):
        ip = frame[14:]
        udp = ip[(ip[0] & 0x0f) * 4:]
        size, = struct.unpack_from('!H', udp, 4)
        to_group = ip[16] & 0xf0 == GROUP_BITS
        found.append(decode(time, socket.inet_ntoa(ip[12:16]), to_group, udp[8:size]))
    return found
